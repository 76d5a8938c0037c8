import type { EntityManager } from 'typeorm';
import type { OtherPart } from '#database/entities/part.js';
import type { ToolCallStatus } from '#database/entities/tool-call.entity.js';
import { type Statement, statement } from '#database/statement.js';
import { type CallFigures, endCalls, figureValues } from './ledger.js';
import { JOB_CHANNEL, WAITS_FOR_PERSON } from './states.js';
import { LEASE_SECONDS, MAX_ATTEMPTS } from './timings.js';

/*
 * A turn is a job of one or more steps. One statement commits a finished step, which survives its attempt: the next attempt goes on after
 * it. A turn of one step commits no step, since the statement that ends the job stores the answer.
 */

/** A finished step, as the next call of the model needs it. */
export interface FinishedStep {
  /** The model's content blocks as they came. */
  readonly content: readonly unknown[];
  readonly stopReason: string;
  /** The text that it added to the reply. */
  readonly text: string;
  /** Its parts besides its text and its tool calls; null: none. */
  readonly otherParts: readonly OtherPart[] | null;
  /** Its tool calls, in the order of their blocks; null: none. */
  readonly calls: readonly StepCall[] | null;
  /** The model that made it. Only a claim reads it. */
  readonly model?: string | null;
}

/** A tool call of a finished step. */
export interface StepCall {
  readonly id: string;
  /** The id that the model gave it. */
  readonly providerId: string;
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly status: ToolCallStatus;
  /** The attempt that runs it, or ran it; null: none has begun it. */
  readonly attempt: number | null;
  /** Null: the call has not ended. */
  readonly result: string | null;
  readonly isError: boolean;
}

/** SQL: the tool calls of the steps in `where`, as JSON; null: there are none. */
const stepCalls = (where: string): string => `
  SELECT json_agg(json_build_object('id', c.id, 'providerId', c.provider_id, 'name', c.name, 'input', c.input, 'status', c.status,
                                    'attempt', c.attempt, 'result', c.result, 'isError', c.is_error) ORDER BY c.n)
    FROM tool_calls c WHERE ${where}`;

/** SQL: the model that made a finished step. */
export const MODEL_OF_STEP = (job: string, step: string): string => `
  SELECT e.model FROM model_calls e WHERE e.job_id = ${job} AND e.step = ${step} AND e.outcome = 'completed'
   ORDER BY e.attempt DESC LIMIT 1`;

/** SQL: the finished steps of the job `job` as JSON, oldest first; null: none. */
export const FINISHED_STEPS = `CASE WHEN job.step > 0 THEN (
    SELECT json_agg(json_build_object('content', s.content, 'stopReason', s.stop_reason, 'text', s.text, 'otherParts', s.sources,
                                      'model', (${MODEL_OF_STEP('s.job_id', 's.step')}),
                                      'calls', (${stepCalls('c.job_id = s.job_id AND c.step = s.step')})) ORDER BY s.step)
      FROM steps s WHERE s.job_id = job.id) END`;

/** A finished step as a stream shows it: the attempt that made it, and the length of the reply's text after it, in UTF-16 code units. */
export interface ShownStep {
  readonly attempt: number;
  readonly endsAt: number;
  readonly otherParts: readonly OtherPart[] | null;
}

/** SQL: a job's finished steps as JSON, oldest first; null: none. */
export const shownSteps = (t: string): string => `CASE WHEN ${t}.step > 0 THEN (
    SELECT json_agg(json_build_object('attempt', s.attempt, 'endsAt', s.ends_at, 'otherParts', s.sources) ORDER BY s.step)
      FROM steps s WHERE s.job_id = ${t}.id) END`;

/** SQL: the saved parts of the step under way besides its text; null: none. */
export const draftParts = (t: string): string => `CASE WHEN ${t}.status = 'running' THEN (
    SELECT d.parts FROM draft_parts d WHERE d.job_id = ${t}.id AND d.attempt = ${t}.attempts AND d.step = ${t}.step + 1) END`;

/** SQL: the part of the draft `text` that belongs to no finished step. */
export const textOfStep = (t: string, text: string): string => `substr(${text}, 1 + length(${t}.kept))`;

/**
 * SQL: the statement sees all finished steps of a row of `jobs` that it has locked, and so the ledger's entries for them. A job that has
 * ended has none left to see.
 */
export const SEES_ALL_STEPS = `CASE WHEN jobs.step = 0 OR jobs.finished_at IS NOT NULL THEN true
    ELSE jobs.step = (SELECT count(*) FROM steps s WHERE s.job_id = jobs.id) END`;

/** SQL: CTEs that store the step's tool calls and announce them. A call that ends at once, because it cannot run, has its result. */
const CALLS = `
  ), calls AS (
    INSERT INTO tool_calls (id, job_id, step, n, provider_id, name, input, status, result, is_error, ended_at)
    SELECT c.id, job.id, job.step, c.n, c."providerId", c.name, c.input, c.status, c.result, c."isError",
           CASE WHEN c.result IS NOT NULL THEN clock_timestamp() END
      FROM job, json_to_recordset(:calls::json) AS c (id uuid, n int, "providerId" text, name text, input json, status text, result text,
                                                      "isError" boolean)
  ), notice AS (
    SELECT count(pg_notify('${JOB_CHANNEL}', job.id || ' ' || job.status)) FROM job`;

/** SQL, for a SET list: the attempt goes on. */
const GOES_ON = `lease_until = now() + make_interval(secs => ${LEASE_SECONDS})`;

/** SQL: a CTE that opens the entry of the next call. */
const NEXT_CALL = `
  ), begun AS (
    INSERT INTO model_calls (job_id, attempt, step, model, user_id, assistant_slug)
    SELECT job.id, job.attempts, job.step + 1, call.model, call.user_id, call.assistant_slug FROM job, call`;

/**
 * The statement locks the row first: PostgreSQL may carry out an earlier commit, whose answer was lost, only now, while this one waits.
 * Such a commit may have made the job wait for a person.
 */
const commit = (then = GOES_ON, more = NEXT_CALL, also = ''): Statement =>
  statement(`
  WITH held AS (
    SELECT id, step FROM jobs
     WHERE id = :jobId AND attempts = :attempt
       AND (status = 'running' AND step IN (:step, :step + 1) OR status = 'requires_action' AND step = :step + 1) FOR NO KEY UPDATE
  ), job AS (
    UPDATE jobs SET step = jobs.step + 1, attempts_left = ${MAX_ATTEMPTS}, free_attempts = 0, draft = :draft, kept = :draft,
           window_from_seq = coalesce(window_from_seq, :windowFromSeq), ${then}
      FROM held WHERE jobs.id = held.id AND held.step = :step
    RETURNING jobs.id, jobs.attempts, jobs.step, jobs.status
  ), call AS (${endCalls('job', { outcome: `'completed'` })}
  ), step AS (
    INSERT INTO steps (job_id, step, attempt, content, stop_reason, text, sources, ends_at)
    SELECT job.id, job.step, job.attempts, :content::json, :stopReason, :text, :otherParts::jsonb, :endsAt FROM job${more}
  )
  SELECT FROM held${also}`);

const COMMIT = commit();
// A CTE that only selects runs only if it is read.
const COMMIT_WITH_CALLS = commit(GOES_ON, NEXT_CALL + CALLS, ', notice');
const COMMIT_AND_WAIT = commit(WAITS_FOR_PERSON, CALLS, ', notice');

/** A tool call of a step to commit. `status` is the call's first state; a call with a result has ended already. */
export type NewToolCall = Omit<StepCall, 'attempt'>;

/** A step to commit. */
export interface NewStep {
  /** How many steps were finished before it. */
  readonly step: number;
  readonly content: readonly unknown[];
  readonly stopReason: string;
  /** The text that the step added to the reply, and the whole text with it. */
  readonly text: string;
  readonly draft: string;
  /** Its parts besides its text and its tool calls; null: none. */
  readonly otherParts: readonly OtherPart[] | null;
  /** `seq` of the first message that prompts of the turn have; 1: all messages. */
  readonly windowFromSeq: number;
  readonly calls: readonly NewToolCall[];
  /** How long the job now waits for a person, in seconds; undefined: the attempt goes on. */
  readonly seconds: number | undefined;
}

/**
 * Commits a step of an attempt: its blocks, its text, its tool calls and its call's entry, and opens the entry of the next call. The job gets all its
 * attempts back. If a worker commits the same step twice after a lost answer, the step is committed once.
 *
 * If only persons can go on, the same statement ends the attempt: the job is `requires_action`, and no call of the model follows. In a
 * statement of its own, that would come after the calls, and a reader who learned of them would see a running job that awaits nothing.
 * @returns false: the job is another attempt's, and nothing was written
 */
export async function commitStep(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  step: NewStep,
  figures: CallFigures,
): Promise<boolean> {
  const { calls, seconds } = step;
  const text = seconds !== undefined ? COMMIT_AND_WAIT : calls.length > 0 ? COMMIT_WITH_CALLS : COMMIT;
  const held = await text.rows(manager, {
    ...step,
    jobId,
    attempt,
    content: JSON.stringify(step.content),
    otherParts: step.otherParts && JSON.stringify(step.otherParts),
    calls: JSON.stringify(calls.map((call, index) => ({ ...call, n: index + 1 }))),
    endsAt: step.draft.length,
    ...figureValues(figures),
  });
  return held.length > 0;
}

/** Most leftovers that are removed at once. */
const LEFTOVERS = 1_000;

const purge = (table: string): Statement =>
  statement(`
  DELETE FROM ${table} WHERE job_id IN (
    SELECT s.job_id FROM ${table} s JOIN jobs j ON j.id = s.job_id WHERE j.finished_at IS NOT NULL LIMIT ${LEFTOVERS})`);

const PURGE_STEPS = purge('steps');
const PURGE_DRAFT_PARTS = purge('draft_parts');

/**
 * Removes steps, and saved parts of steps, that the end of their turn did not see: an older version ended the turn, the turn ended at the
 * moment of a commit, or it left no reply with parts.
 */
export async function purgeSteps(manager: EntityManager): Promise<void> {
  await PURGE_STEPS.affected(manager);
  await PURGE_DRAFT_PARTS.affected(manager);
}
