import type { EntityManager } from 'typeorm';
import { NEXT_MOMENT } from '#database/columns.js';
import { newId } from '#database/ids.js';
import { type CallFigures, endCalls, figureValues, NO_FIGURES } from './ledger.js';
import { announce, CANCEL_CHANNEL, endedTurn, type EndedTurn, LIVES_SINCE } from './states.js';
import { LONGEST_LIFE_SECONDS } from './timings.js';

/*
 * Every transition of a job after it was accepted, but for its beginning (claim.ts) and its heartbeat (extend.ts). Each is one conditional statement on the
 * database's clock; no row back means "not yours any more: stop". A running attempt is fenced by its number (`attempts`): a worker
 * whose lease ran out holds a number that no row carries any more.
 *
 * Lock order is chat, then job, then ledger, here and in accept.ts, so that no two statements wait for one another. When something
 * happened is read from the clock once the locks are held (`clock_timestamp()`): `now()` is when the statement began to wait, and a job
 * would end before it started. What only has to be early enough (a lease, what is due) is counted from `now()`.
 *
 * Each statement announces the new state itself, so the notice leaves at commit or not at all; and each ends the line of
 * the attempt's call in the ledger with it.
 */

/** The model's complete answer. */
export interface Reply {
  readonly content: string;
  readonly model: string;
  readonly stopReason: string;
}

const FINISH = `
  WITH chat AS (
    SELECT c.id FROM chats c JOIN jobs j ON j.chat_id = c.id WHERE j.id = $1 FOR UPDATE OF c
  ), job AS (
    UPDATE jobs SET status = 'succeeded', lease_until = NULL, finished_at = clock_timestamp(), draft = ''
      FROM chat
     WHERE jobs.id = $1 AND jobs.status = 'running' AND jobs.attempts = $2
    RETURNING jobs.id, jobs.chat_id, jobs.status, jobs.attempts
  ), call AS (${endCalls('job', { outcome: `'completed'`, figuresFrom: 7 })}
  ), position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
      FROM job WHERE chats.id = job.chat_id
    RETURNING chats.id, chats.last_seq, chats.last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, input_tokens, output_tokens, created_at)
    SELECT $3, position.id, position.last_seq, 'assistant', $4, job.id, $5, $6,
           coalesce(call.input_tokens, 0), coalesce(call.output_tokens, 0), position.last_message_at
      FROM position, job LEFT JOIN call ON true
    RETURNING id
  ), notice AS (${announce('job')})
  SELECT EXISTS (SELECT FROM jobs WHERE status = 'queued' AND available_at <= now()) AS more
    FROM message LEFT JOIN notice ON true`;

/** What a finished attempt leaves: others may be due, and there is room for one. */
export interface Finished {
  readonly more: boolean;
}

/**
 * Ends the attempt with its reply: the assistant's message and the state `succeeded`, together.
 * The message's usage is that of the ledger.
 * @returns undefined when the attempt is no longer the job's; nothing was written then.
 */
export async function finish(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  reply: Reply,
  figures: CallFigures,
): Promise<Finished | undefined> {
  const [finished] = await manager.query<Finished[]>(FINISH, [
    jobId,
    attempt,
    newId(),
    reply.content,
    reply.model,
    reply.stopReason,
    ...figureValues(figures),
  ]);
  return finished;
}

/** What a failed job says of itself; `code` is one of the contract's `JobError` codes. */
export interface JobFault {
  readonly code: 'model_unavailable' | 'model_rejected' | 'attempts_exhausted' | 'expired' | 'internal';
  readonly message: string;
}

/** Whether the job goes on: it may be tried again, an attempt is left or this one is for free, and it is not too old. */
const GOES_ON = `$3 AND (attempts_left > 0 OR $7) AND ${LIVES_SINCE} > now() - make_interval(secs => ${LONGEST_LIFE_SECONDS})`;

const RETRY_OR_FAIL = `
  WITH job AS (
    UPDATE jobs SET
           status = CASE WHEN ${GOES_ON} THEN 'queued' ELSE 'failed' END,
           attempts_left = CASE WHEN ${GOES_ON} AND $7 THEN attempts_left + 1 ELSE attempts_left END,
           available_at = CASE WHEN $3 THEN now() + make_interval(secs => $4::float8 / 1000) ELSE available_at END,
           finished_at = CASE WHEN ${GOES_ON} THEN NULL ELSE clock_timestamp() END,
           error_code = CASE WHEN ${GOES_ON} THEN NULL ELSE $5 END,
           error_message = CASE WHEN ${GOES_ON} THEN NULL ELSE $6 END,
           lease_until = NULL, draft = ''
     WHERE id = $1 AND status = 'running' AND attempts = $2
    RETURNING id, status, attempts
  ), call AS (${endCalls('job', { outcome: `'failed'`, code: '$5', figuresFrom: 8 })}
  ), notice AS (${announce('job')})
  SELECT job.status FROM job LEFT JOIN notice ON true`;

/** How an attempt failed, and what that means for the job. */
export interface FailedAttempt extends JobFault {
  /** The fault may pass. */
  readonly retryable: boolean;
  /** The attempt does not count: the model is away, and it is known. */
  readonly free: boolean;
  /** When it may be tried again, in milliseconds from now. */
  readonly delayMs: number;
}

/**
 * Ends the attempt without a reply. A fault that may pass puts the job back, due after `delayMs`, while it has
 * attempts left; any other, or the last attempt's, ends the job as `failed`.
 * @returns the job's state now, or undefined when the attempt is no longer the job's.
 */
export async function giveUp(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  fault: FailedAttempt,
  figures: CallFigures,
): Promise<'queued' | 'failed' | undefined> {
  const rows = await manager.query<{ status: 'queued' | 'failed' }[]>(RETRY_OR_FAIL, [
    jobId,
    attempt,
    fault.retryable,
    fault.delayMs,
    fault.code,
    fault.message,
    fault.free,
    ...figureValues(figures),
  ]);
  return rows[0]?.status;
}

const HAND_BACK = `
  WITH job AS (
    UPDATE jobs SET status = 'queued', attempts_left = attempts_left + 1, lease_until = NULL, draft = '', available_at = now()
     WHERE id = $1 AND status = 'running' AND attempts = $2
    RETURNING id, status, attempts
  ), call AS (${endCalls('job', { outcome: `'handed_back'`, figuresFrom: 3 })}
  ), notice AS (${announce('job')})
  SELECT job.id FROM job LEFT JOIN notice ON true`;

/**
 * Puts an attempt that its worker cannot end (it is shutting down) back. It does not count against the job, but its number is
 * not given out again: numbers are fencing tokens.
 * @returns false when the attempt is no longer the job's.
 */
export async function handBack(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  figures: CallFigures,
): Promise<boolean> {
  const rows = await manager.query<unknown[]>(HAND_BACK, [jobId, attempt, ...figureValues(figures)]);
  return rows.length > 0;
}

const ASK_CANCEL = `
  SELECT pg_notify('${CANCEL_CHANNEL}', id::text) FROM jobs WHERE id = $1 AND user_id = $2 AND status = 'running'`;

/**
 * Asks the worker that runs a job of `userId` to cancel it, with all of its text.
 * @returns false when nobody runs it.
 */
export async function askCancel(manager: EntityManager, jobId: string, userId: string): Promise<boolean> {
  const rows = await manager.query<unknown[]>(ASK_CANCEL, [jobId, userId]);
  return rows.length > 0;
}

/** Whose cancel: the user's ($2), whatever the job's state, or that of the attempt ($4) which brings its text ($5). */
const CANCEL = `
  WITH chat AS (
    SELECT c.id FROM chats c JOIN jobs j ON j.chat_id = c.id
     WHERE j.id = $1 AND ($2::text IS NULL OR j.user_id = $2) FOR UPDATE OF c
  ), draft AS (
    SELECT jobs.id, jobs.draft FROM jobs, chat WHERE jobs.id = $1 FOR UPDATE OF jobs
  ), job AS (
    UPDATE jobs SET status = 'canceled', lease_until = NULL, finished_at = clock_timestamp(), draft = ''
      FROM draft
     WHERE jobs.id = draft.id
       AND CASE WHEN $4::int IS NULL THEN jobs.status IN ('queued', 'running')
                ELSE jobs.status = 'running' AND jobs.attempts = $4 END
    RETURNING jobs.*, coalesce($5::text, draft.draft) AS text
  ), call AS (${endCalls('job', { outcome: `'canceled'`, figuresFrom: 6 })}
  ), position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
      FROM job WHERE chats.id = job.chat_id AND job.text ~ '[^[:space:]]'
    RETURNING chats.id, chats.last_seq, chats.last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, status, job_id, model, stop_reason, input_tokens, output_tokens,
                          created_at)
    SELECT $3, position.id, position.last_seq, 'assistant', job.text, 'incomplete', job.id, a.model, 'canceled',
           coalesce(call.input_tokens, 0), coalesce(call.output_tokens, 0), position.last_message_at
      FROM position, job JOIN chats c ON c.id = job.chat_id JOIN assistants a ON a.slug = c.assistant_slug
      LEFT JOIN call ON true
  ), notice AS (${announce('job')})
  SELECT ${endedTurn('job', 'c')} FROM job JOIN chats c ON c.id = job.chat_id LEFT JOIN notice ON true`;

/**
 * Ends an unfinished job of `userId` as `canceled`, keeping the checkpointed text as an `incomplete` message.
 * The worker that runs it hears the announcement and stops the model call.
 * @returns undefined when there was nothing to cancel: unknown, somebody else's, or final already.
 */
export async function cancel(manager: EntityManager, jobId: string, userId: string): Promise<EndedTurn | undefined> {
  const values = [jobId, userId, newId(), null, null, ...figureValues(NO_FIGURES)];
  const [ended] = await manager.query<EndedTurn[]>(CANCEL, values);
  return ended;
}

/**
 * The same by the worker that runs the attempt: with all of its text.
 * @returns false when the attempt is no longer the job's.
 */
export async function cancelAttempt(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  text: string,
  figures: CallFigures,
): Promise<boolean> {
  const values = [jobId, null, newId(), attempt, text, ...figureValues(figures)];
  const rows = await manager.query<unknown[]>(CANCEL, values);
  return rows.length > 0;
}
