import type { EntityManager } from 'typeorm';
import { type Statement, statement } from '#database/statement.js';
import { type CallFigures, NO_FIGURES } from './ledger.js';
import { runs } from './states.js';
import { LEASE_SECONDS } from './timings.js';

/** One attempt's heartbeat: it extends the lease, and saves new text and new figures of the call. */
export interface Beat {
  readonly jobId: string;
  readonly attempt: number;
  /** The step that makes the call, from 1. */
  readonly step: number;
  /** Where in the draft the text goes, in code points, as PostgreSQL counts. */
  readonly text: string;
  readonly at: number;
  /** The step's parts besides its text, as JSON, if there are new ones since the last heartbeat. */
  readonly otherParts?: string | undefined;
  /** The call's figures, if the model has reported new ones since the last heartbeat. */
  readonly news?: CallFigures | undefined;
}

/**
 * The result of a heartbeat. `lost`: the job is another attempt's, so the caller must stop the call and write nothing. `busy`: another
 * session has locked the job's row or the call's entry, so the result is unknown and the caller tries again soon.
 */
export type Extended = 'extended' | 'busy' | 'lost';

/** A statement that PostgreSQL carries out late does not replace newer parts: within a step they only grow. */
const SAVE_PARTS = `, saved AS (
    INSERT INTO draft_parts AS d (job_id, attempt, step, parts)
    SELECT beat.id, beat.attempt, beat.step, beat.other_parts FROM job JOIN beat ON beat.id = job.id AND beat.attempt = job.attempts
     WHERE beat.other_parts IS NOT NULL
        ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, step = excluded.step, parts = excluded.parts
     WHERE (d.attempt, d.step, octet_length(d.parts::text)) <= (excluded.attempt, excluded.step, octet_length(excluded.parts::text))
  )`;

/*
 * The statement skips locked rows. Otherwise a cancel of one job, or a session that an operator left open, would keep the process from
 * extending all its leases. Since the statement waits for no lock, the order of locks does not matter here.
 *
 * The text and the other parts are saved together. So a stream that reads both shows the parts where they belong: before that text. Most
 * heartbeats save text only, and the statement for these is shorter.
 */
const extending = (withParts: boolean): Statement =>
  statement(`
  WITH beat AS (
    SELECT * FROM unnest(:ids::uuid[], :attempts::int[], :steps::int[], :texts::text[], :ats::int[], :news::boolean[],
                         :models::text[], :messageIds::text[], :inputTokens::int[], :outputTokens::int[], :reads::int[], :writes5m::int[], :writes1h::int[],
                         :firstTextMs::int[]${withParts ? ', :otherParts::jsonb[]' : ''})
        AS beat (id, attempt, step, text, at, news, model, message_id, input_tokens, output_tokens, read, write_5m, write_1h,
                 first_text_ms${withParts ? ', other_parts' : ''})
  ), held AS (
    SELECT jobs.id, jobs.attempts FROM jobs JOIN beat ON beat.id = jobs.id AND beat.attempt = jobs.attempts
     WHERE ${runs('jobs')} FOR NO KEY UPDATE OF jobs SKIP LOCKED
  ), entry AS (
    SELECT c.job_id, c.attempt, c.step FROM model_calls c
      JOIN beat ON beat.id = c.job_id AND beat.attempt = c.attempt AND beat.step = c.step
     WHERE beat.news AND c.outcome = 'running' FOR NO KEY UPDATE OF c SKIP LOCKED
  ), job AS (
    UPDATE jobs SET lease_until = now() + make_interval(secs => ${LEASE_SECONDS}),
           draft = CASE WHEN length(draft) BETWEEN beat.at AND beat.at + length(beat.text) - 1
                        THEN left(draft, beat.at) || beat.text ELSE draft END
      FROM beat JOIN held ON held.id = beat.id AND held.attempts = beat.attempt
     WHERE jobs.id = beat.id AND ${runs('jobs')} AND jobs.attempts = beat.attempt
    RETURNING jobs.id, jobs.attempts
  ), call AS (
    UPDATE model_calls c SET model = coalesce(beat.model, c.model), message_id = beat.message_id, input_tokens = beat.input_tokens,
           output_tokens = beat.output_tokens, cache_read_tokens = beat.read, cache_write_5m_tokens = beat.write_5m,
           cache_write_1h_tokens = beat.write_1h, first_text_ms = beat.first_text_ms
      FROM job JOIN beat ON beat.id = job.id AND beat.attempt = job.attempts
           JOIN entry ON entry.job_id = beat.id AND entry.attempt = beat.attempt
     WHERE beat.news AND c.job_id = entry.job_id AND c.attempt = entry.attempt AND c.step = entry.step
    RETURNING c.job_id, c.attempt
  )${withParts ? SAVE_PARTS : ''}
  SELECT beat.id AS "jobId", beat.attempt,
         CASE WHEN jobs.id IS NULL THEN 'lost'
              WHEN job.id IS NULL THEN 'busy'
              WHEN beat.news AND call.job_id IS NULL AND EXISTS
                   (SELECT FROM model_calls c WHERE c.job_id = beat.id AND c.attempt = beat.attempt AND c.step = beat.step
                      AND c.outcome = 'running') THEN 'busy'
              ELSE 'extended' END AS extended
    FROM beat LEFT JOIN job ON job.id = beat.id AND job.attempts = beat.attempt
    LEFT JOIN call ON call.job_id = beat.id AND call.attempt = beat.attempt
    LEFT JOIN jobs ON jobs.id = beat.id AND jobs.attempts = beat.attempt AND ${runs('jobs')}`);

const EXTEND = extending(false);
const EXTEND_WITH_PARTS = extending(true);

/**
 * Extends the leases of attempts in one statement. Each heartbeat is fenced by its own attempt and has its own result. The text goes to a
 * given position, so it is harmless to write the same text twice, for instance after a lost answer. A draft only grows, even if PostgreSQL
 * carries out a statement late that the worker has given up.
 * @returns the result of each of `beats`, in their order
 */
export async function extend(manager: EntityManager, beats: readonly Beat[]): Promise<Extended[]> {
  const figures = beats.map(({ news }) => news ?? NO_FIGURES);
  const withParts = beats.some(({ otherParts }) => otherParts !== undefined);
  const rows = await (withParts ? EXTEND_WITH_PARTS : EXTEND).rows<{
    jobId: string;
    attempt: number;
    extended: Extended;
  }>(manager, {
    ids: beats.map(({ jobId }) => jobId),
    attempts: beats.map(({ attempt }) => attempt),
    steps: beats.map(({ step }) => step),
    texts: beats.map(({ text }) => text),
    ats: beats.map(({ at }) => at),
    news: beats.map(({ news }) => news !== undefined),
    models: figures.map(({ model }) => model),
    messageIds: figures.map(({ messageId }) => messageId),
    inputTokens: figures.map(({ inputTokens }) => inputTokens),
    outputTokens: figures.map(({ outputTokens }) => outputTokens),
    reads: figures.map(({ cacheReadTokens }) => cacheReadTokens),
    writes5m: figures.map(({ cacheWrite5mTokens }) => cacheWrite5mTokens),
    writes1h: figures.map(({ cacheWrite1hTokens }) => cacheWrite1hTokens),
    firstTextMs: figures.map(({ firstTextMs }) => firstTextMs),
    otherParts: beats.map(({ otherParts }) => otherParts ?? null),
  });
  const came = new Map(rows.map(({ jobId, attempt, extended }) => [`${jobId} ${attempt}`, extended]));
  return beats.map(({ jobId, attempt }) => came.get(`${jobId} ${attempt}`) ?? 'lost');
}
