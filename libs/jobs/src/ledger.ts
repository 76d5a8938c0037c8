import type { EntityManager } from 'typeorm';
import type { CallOutcome } from '#database/entities/model-call.entity.js';
import { RECONCILE_BATCH } from './timings.js';

/*
 * The ledger has a line for each call of the model. It is opened before the call, by the statement that claims the job and reads what
 * to send, and ended by the transition that ends the attempt. A worker that was fenced off, or told
 * too late, adds what it knows; what a dead one left open the reconciler ends as `lost`.
 */

/** What the model has told of a call so far; null: not yet. */
export interface CallFigures {
  /** The id it gave its answer. */
  readonly messageId: string | null;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  /** From the call's beginning to its first text, in milliseconds. */
  readonly firstTextMs: number | null;
}

export const NO_FIGURES: CallFigures = { messageId: null, inputTokens: null, outputTokens: null, firstTextMs: null };

/** The figures as values of a statement, in the order {@link endCalls} takes them. */
export function figureValues(figures: CallFigures): (string | number | null)[] {
  return [figures.messageId, figures.inputTokens, figures.outputTokens, figures.firstTextMs];
}

const FIGURES = [
  ['message_id', 'text'],
  ['input_tokens', 'int'],
  ['output_tokens', 'int'],
  ['first_text_ms', 'int'],
] as const;

/** What is known is not forgotten: each figure that a statement brings replaces the one that is there. */
function setFigures(from: number): string {
  return FIGURES.map(([column, type], n) => `${column} = coalesce($${from + n}::${type}, model_calls.${column})`).join(
    ', ',
  );
}

/**
 * Ends the line of the attempt that the CTE `job` holds (with its `id` and `attempts`), if it is open; `figuresFrom` is the number
 * of the first of four values. One line at most: an earlier attempt's may be open still, and is not this one's business.
 */
export function endCalls(job: string, end: { outcome: string; code?: string; figuresFrom: number }): string {
  return `
    UPDATE model_calls SET outcome = ${end.outcome}, error_code = ${end.code ?? 'NULL'}, ended_at = clock_timestamp(),
           ${setFigures(end.figuresFrom)}
      FROM ${job}
     WHERE model_calls.job_id = ${job}.id AND model_calls.attempt = ${job}.attempts AND model_calls.outcome = 'running'
    RETURNING model_calls.input_tokens, model_calls.output_tokens`;
}

const SETTLE = `
  UPDATE model_calls SET
         outcome = CASE WHEN outcome = 'running' THEN $3 ELSE outcome END, ended_at = coalesce(ended_at, clock_timestamp()),
         ${setFigures(4)}
   WHERE job_id = $1 AND attempt = $2 AND outcome <> 'completed'`;

/** Adds what a call came to that is no longer its job's: it is paid for all the same. */
export async function settleCall(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  outcome: Extract<CallOutcome, 'canceled' | 'lost'>,
  figures: CallFigures,
): Promise<void> {
  await manager.query(SETTLE, [jobId, attempt, outcome, ...figureValues(figures)]);
}

/** Those that are open are said by `ended_at` here alone, as in their index: of an attempt a line is found by its key. */
const END_ORPHANS = `
  WITH orphan AS (
    SELECT c.job_id, c.attempt FROM model_calls c LEFT JOIN jobs j ON j.id = c.job_id
     WHERE c.ended_at IS NULL AND c.started_at < now() - interval '5 seconds'
       AND (j.status = 'running' AND j.attempts = c.attempt) IS NOT TRUE
     LIMIT ${RECONCILE_BATCH} FOR UPDATE OF c SKIP LOCKED
  )
  UPDATE model_calls c SET outcome = 'lost', ended_at = clock_timestamp()
    FROM orphan WHERE c.job_id = orphan.job_id AND c.attempt = orphan.attempt AND c.outcome = 'running'`;

/**
 * Ends lines whose attempt is over and whose worker never said so: it died, or began the call in the moment in which the job
 * was taken from it.
 * @returns how many.
 */
export async function endOrphans(manager: EntityManager): Promise<number> {
  const [, ended] = await manager.query<[unknown[], number]>(END_ORPHANS);
  return ended;
}
