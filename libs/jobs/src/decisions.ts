import type { EntityManager } from 'typeorm';
import { statement } from '#database/statement.js';
import { announce } from './states.js';
import { RESULT_SCHEMA, toolCallColumns, type ToolCallRow } from './tool-calls.js';
import { MAX_ATTEMPTS } from './timings.js';

/*
 * The decisions and results that persons give for tool calls. The first decision counts; it locks the job's row, so a second one, a cancel and the job's worker see
 * it. Once no call of a waiting job waits any more, the job is queued again, due at once, with all of its attempts.
 */

/** A person's decision or result. `decision` is for a call that awaits an approval, `result` for one that awaits a result. */
export type Said =
  | { readonly decision: 'approve' }
  | { readonly decision: 'deny'; readonly reason: string | null }
  | {
      /** The result as the model gets it. */
      readonly result: string;
      readonly isError: boolean;
      /** The same as the person gave it, for a check by a schema. */
      readonly value: unknown;
    };

const LOCK = statement(`
  SELECT j.status FROM jobs j
   WHERE j.id = :jobId AND (SELECT c.user_id FROM chats c WHERE c.id = j.chat_id) = coalesce(:userId, j.user_id) FOR NO KEY UPDATE`);

const CALL = statement(`
  SELECT ${toolCallColumns('c')}, ${RESULT_SCHEMA} AS "resultSchema"
    FROM tool_calls c JOIN jobs j ON j.id = c.job_id WHERE c.job_id = :jobId AND c.id = :callId`);

const SETTLE = statement(`
  WITH call AS (
    UPDATE tool_calls c SET status = :status, decided_by = :by, reason = :reason, decided_at = clock_timestamp(), result = :result,
           is_error = :isError, ended_at = CASE WHEN :result::text IS NOT NULL THEN clock_timestamp() END
     WHERE c.id = :callId
    RETURNING ${toolCallColumns('c')}
  ), job AS (
    UPDATE jobs SET status = CASE WHEN goes_on THEN 'queued' ELSE status END,
           available_at = CASE WHEN goes_on THEN now() ELSE available_at END,
           attempts_left = CASE WHEN goes_on THEN ${MAX_ATTEMPTS} ELSE attempts_left END,
           free_attempts = CASE WHEN goes_on THEN 0 ELSE free_attempts END,
           waited_seconds = waited_seconds + CASE WHEN goes_on THEN ceil(extract(epoch FROM clock_timestamp() - action_since))::int ELSE 0 END,
           action_since = CASE WHEN goes_on THEN NULL ELSE action_since END,
           action_expires_at = CASE WHEN goes_on THEN NULL ELSE action_expires_at END
      FROM (SELECT status = 'requires_action' AND :status <> 'awaiting_result' AND NOT EXISTS (
              SELECT FROM tool_calls o WHERE o.job_id = :jobId AND o.id <> :callId AND o.status IN ('awaiting_approval', 'awaiting_result')
            ) AS goes_on FROM jobs WHERE id = :jobId) now
     WHERE jobs.id = :jobId
    RETURNING jobs.id, jobs.status, jobs.attempts, goes_on
  ), notice AS (${announce('job')})
  SELECT call.*, job.attempts, job.goes_on AS "goesOn" FROM call, job LEFT JOIN notice ON true`);

/** The call after a decision. */
export interface Decided {
  readonly call: ToolCallRow;
  /** The decision contradicts an earlier one, or came too late: nothing was written. */
  readonly refused: boolean;
  /** The number of the attempt that is due now; undefined: none is. */
  readonly dueAttempt: number | undefined;
}

/** A decision about one call of a job. */
export interface Decision {
  readonly jobId: string;
  readonly callId: string;
  /** The job must be this user's; null: any user's. */
  readonly userId: string | null;
  /** The `sub` of the person who says it. */
  readonly by: string;
  readonly said: Said;
}

/** The facts about a call that the caller finds out before it is changed. */
export interface Checked {
  /** The front-end runs the tool, so the call awaits its result once it is approved. */
  readonly awaitsResult: boolean;
}

/**
 * Writes what a person says about a tool call. The same once more changes nothing.
 *
 * @param check called under the lock, before the call is changed; it may throw, for instance for a result that does not match
 * @returns undefined: the job has no such call, or it is another user's
 */
export function decide(
  manager: EntityManager,
  { jobId, callId, userId, by, said }: Decision,
  check: (manager: EntityManager, call: ToolCallRow) => Promise<Checked>,
): Promise<Decided | undefined> {
  return manager.transaction(async (inside) => {
    const [job] = await LOCK.rows<{ status: string }>(inside, { jobId, userId });
    if (job === undefined) return undefined;
    const [call] = await CALL.rows<ToolCallRow>(inside, { jobId, callId });
    if (call === undefined) return undefined;
    const goesOn = job.status === 'requires_action' || job.status === 'running';
    const awaited = 'result' in said ? 'awaiting_result' : 'awaiting_approval';
    if (call.status !== awaited || !goesOn) return { call, refused: !isSame(call, said), dueAttempt: undefined };
    const { awaitsResult } = await check(inside, call);
    const [settled] = await SETTLE.rows<ToolCallRow & { attempts: number; goesOn: boolean }>(inside, {
      jobId,
      callId,
      by,
      ...outcomeOf(said, awaitsResult),
    });
    if (settled === undefined) throw new Error('The tool call is locked and gone.');
    const { attempts, goesOn: isDue, ...row } = settled;
    const resultSchema = row.status === 'awaiting_result' ? call.resultSchema : null;
    return { call: { ...row, resultSchema }, refused: false, dueAttempt: isDue ? attempts + 1 : undefined };
  });
}

/** Whether a person has said the same before. */
function isSame(call: ToolCallRow, said: Said): boolean {
  if (call.decidedAt === null) return false;
  if ('result' in said) return call.result === said.result && call.isError === said.isError;
  return (call.status === 'denied') === (said.decision === 'deny');
}

function outcomeOf(
  said: Said,
  awaitsResult: boolean,
): { status: string; reason: string | null; result: string | null; isError: boolean } {
  if ('result' in said) {
    const { result, isError } = said;
    return { status: isError ? 'failed' : 'succeeded', reason: null, result, isError };
  }
  if (said.decision === 'approve') {
    return { status: awaitsResult ? 'awaiting_result' : 'queued', reason: null, result: null, isError: false };
  }
  const { reason } = said;
  const result = reason === null ? 'A person denied this call.' : `A person denied this call: ${reason}`;
  return { status: 'denied', reason, result, isError: true };
}
