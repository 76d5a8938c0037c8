import type { EntityManager } from 'typeorm';
import type { CallOutcome } from '#database/entities/model-call.entity.js';
import { statement } from '#database/statement.js';
import { type CallFigures, figureValues, setFigures } from './ledger.js';
import { LIVES_SINCE, runs } from './states.js';
import { MOST_LOST_SUMMARIES } from './timings.js';

/*
 * A summary of the messages that a chat's window leaves behind. An attempt makes it before its first step, by a call of its own: the entry
 * for step 0. One statement stores it and moves the window. So the next attempt finds both, and does not pay again.
 */

/** Faults of calls that cost nothing. A summary that failed with one of them is tried again by the next attempt. */
const UNPAID = `('model_unavailable', 'model_unauthorized', 'model_budget', 'model_misconfigured')`;

const OPEN = statement(`
  WITH job AS (
    SELECT jobs.id, jobs.attempts, jobs.user_id, jobs.chat_id, ${MOST_LOST_SUMMARIES} > (
             SELECT count(*) FROM model_calls lost
              WHERE lost.job_id = jobs.id AND lost.step = 0 AND lost.attempt < jobs.attempts AND lost.started_at >= ${LIVES_SINCE}
                AND (lost.outcome = 'lost' OR lost.outcome = 'failed' AND lost.error_code NOT IN ${UNPAID})) AS may_call
      FROM jobs WHERE jobs.id = :jobId AND ${runs('jobs')} AND jobs.attempts = :attempt
  ), begun AS (
    INSERT INTO model_calls (job_id, attempt, step, purpose, model, user_id, assistant_slug, input_tokens, estimated)
    SELECT job.id, job.attempts, 0, 'summary', :model, job.user_id, (SELECT c.assistant_slug FROM chats c WHERE c.id = job.chat_id),
           :inputTokens::int, true
      FROM job WHERE job.may_call
    ON CONFLICT DO NOTHING
  )
  SELECT job.may_call AS "mayCall" FROM job`);

/**
 * Opens the ledger's entry for a summary, with an estimate of its input: if the worker dies, nobody learns the figure.
 * @returns `enough`: the job's attempts have paid for too many summaries that came to nothing. `lost`: the job is another attempt's
 */
export async function openSummary(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  { model, inputTokens }: { readonly model: string; readonly inputTokens: number },
): Promise<'opened' | 'enough' | 'lost'> {
  const [job] = await OPEN.rows<{ mayCall: boolean }>(manager, { jobId, attempt, model, inputTokens });
  if (job === undefined) return 'lost';
  return job.mayCall ? 'opened' : 'enough';
}

/** SQL: CTEs that end the entry of the summary, and let the entry of the first step, which the claim has opened, begin now. */
const ended = (outcome: string, code: string, of: string): string => `
  call AS (
    UPDATE model_calls SET outcome = CASE WHEN outcome = 'running' THEN ${outcome} ELSE outcome END,
           error_code = CASE WHEN outcome = 'running' THEN ${code} ELSE error_code END,
           ended_at = coalesce(ended_at, clock_timestamp()), ${setFigures()}
     WHERE job_id = :jobId AND attempt = :attempt AND step = 0 AND outcome <> 'completed' ${of}
  ), next AS (
    UPDATE model_calls SET started_at = clock_timestamp()
     WHERE job_id = :jobId AND attempt = :attempt AND step = 1 AND outcome = 'running' ${of}
  )`;

/** The order of locks is that of transitions.ts. A summary that is stored already is the one of this call: the answer was lost. */
const STORE = statement(`
  WITH chat AS (
    SELECT id FROM chats WHERE id = (SELECT chat_id FROM jobs WHERE id = :jobId) FOR UPDATE
  ), job AS (
    SELECT jobs.id, jobs.chat_id FROM jobs, chat
     WHERE jobs.id = :jobId AND ${runs('jobs')} AND jobs.attempts = :attempt FOR NO KEY UPDATE OF jobs
  ), ${ended(`'completed'`, 'NULL', 'AND EXISTS (SELECT FROM job)')}, moved AS (
    UPDATE chats SET window_from_seq = :windowFromSeq, context_tokens = :contextTokens WHERE id = (SELECT chat_id FROM job)
  ), summary AS (
    INSERT INTO summaries (chat_id, until_seq, content, model) SELECT chat_id, :windowFromSeq::int - 1, :content, :model FROM job
    ON CONFLICT DO NOTHING
  )
  SELECT FROM job`);

/** A summary to store. */
export interface NewSummary {
  readonly content: string;
  /** The model that wrote it. */
  readonly model: string;
  /** `seq` of the first message behind it, with which prompts begin from now on. */
  readonly windowFromSeq: number;
  /** Estimated tokens of such a prompt, without the messages since the last reply. */
  readonly contextTokens: number;
}

/**
 * Stores a summary, moves the chat's window and ends the call's entry.
 * @returns false: the job is another attempt's, or has ended, and nothing was written
 */
export async function storeSummary(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  summary: NewSummary,
  figures: CallFigures,
): Promise<boolean> {
  const rows = await STORE.rows(manager, { ...summary, jobId, attempt }, figureValues(figures));
  return rows.length > 0;
}

const END = statement(`WITH ${ended(':outcome::text', ':code::text', '')} SELECT`);

/** Ends the entry of a call that made no summary. If it was ended meanwhile, it gets the figures only. A refused call cost nothing. */
export async function endSummary(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  { outcome, code }: { readonly outcome: Exclude<CallOutcome, 'running'>; readonly code?: string },
  figures: CallFigures,
): Promise<void> {
  const inputTokens = figures.inputTokens ?? 0;
  await END.rows(manager, { jobId, attempt, outcome, code: code ?? null, inputTokens }, figureValues(figures));
}
