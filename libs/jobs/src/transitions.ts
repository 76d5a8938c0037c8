import type { EntityManager } from 'typeorm';
import { NEXT_MOMENT } from '#database/columns.js';
import { newId } from '#database/ids.js';
import { JOB_CHANNEL } from './states.js';
import { LEASE_SECONDS } from './timings.js';

/*
 * Every transition of a job after it was accepted. Each is one conditional statement on the database's clock; no row
 * back means "not yours any more: stop". A running attempt is fenced by its number (`attempts`): a worker whose
 * lease ran out holds a number that no row carries any more.
 *
 * Lock order is chat, then job, here and in accept.ts, so that no two statements wait for one another.
 * Each statement announces the new state itself, so the notice leaves at commit or not at all.
 */

const announce = (cte: string): string =>
  `SELECT pg_notify('${JOB_CHANNEL}', ${cte}.id || ' ' || ${cte}.status) FROM ${cte}`;

/** What a worker needs to begin an attempt. */
export interface ClaimedJob {
  readonly id: string;
  readonly chatId: string;
  readonly requestId: string;
  /** The number of this attempt: the fencing token of every later write. */
  readonly attempt: number;
  /** `seq` of the newest message to answer. */
  readonly answersSeq: number;
  readonly systemPrompt: string;
  readonly model: string;
  readonly maxOutputTokens: number;
}

const CLAIM = `
  WITH job AS (
    UPDATE jobs SET status = 'running', attempts = attempts + 1, attempts_left = attempts_left - 1, draft = '',
           lease_until = now() + make_interval(secs => ${LEASE_SECONDS}),
           started_at = coalesce(started_at, now())
     WHERE id = $1 AND attempts_left > 0
       AND ((status = 'queued' AND available_at <= now()) OR (status = 'running' AND lease_until < now()))
    RETURNING *
  ), notice AS (${announce('job')})
  SELECT job.id, job.chat_id AS "chatId", job.request_id AS "requestId", job.attempts AS attempt, m.seq AS "answersSeq",
         a.system_prompt AS "systemPrompt", a.model, a.max_output_tokens AS "maxOutputTokens"
    FROM job
    JOIN messages m ON m.id = job.user_message_id
    JOIN chats c ON c.id = job.chat_id
    JOIN assistants a ON a.slug = c.assistant_slug
    LEFT JOIN notice ON true`;

/** Begins the next attempt, if the job is due and nobody holds it. */
export async function claim(manager: EntityManager, jobId: string): Promise<ClaimedJob | undefined> {
  const rows = await manager.query<ClaimedJob[]>(CLAIM, [jobId]);
  return rows[0];
}

const EXTEND = `
  WITH job AS (
    UPDATE jobs SET lease_until = now() + make_interval(secs => ${LEASE_SECONDS}),
           draft = CASE WHEN $3 = '' THEN draft ELSE left(draft, $4) || $3 END
     WHERE id = $1 AND status = 'running' AND attempts = $2
    RETURNING id
  )
  SELECT id FROM job`;

/**
 * Extends the attempt's lease and writes `text` into its draft from position `at` on, counted in code points as PostgreSQL
 * does. Saying where makes it harmless to write the same stretch twice, as after an answer that got lost.
 * @returns false when the attempt is no longer the job's: the caller must stop the model call and write nothing.
 */
export async function extend(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  text: string,
  at: number,
): Promise<boolean> {
  const rows = await manager.query<unknown[]>(EXTEND, [jobId, attempt, text, at]);
  return rows.length > 0;
}

/** The model's complete answer. */
export interface Reply {
  readonly content: string;
  readonly model: string;
  readonly stopReason: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

const FINISH = `
  WITH chat AS (
    SELECT c.id FROM chats c JOIN jobs j ON j.chat_id = c.id WHERE j.id = $1 FOR UPDATE OF c
  ), job AS (
    UPDATE jobs SET status = 'succeeded', lease_until = NULL, finished_at = now(), draft = ''
      FROM chat
     WHERE jobs.id = $1 AND jobs.status = 'running' AND jobs.attempts = $2
    RETURNING jobs.id, jobs.chat_id, jobs.status
  ), position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
      FROM job WHERE chats.id = job.chat_id
    RETURNING chats.id, chats.last_seq, chats.last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, input_tokens, output_tokens, created_at)
    SELECT $3, position.id, position.last_seq, 'assistant', $4, job.id, $5, $6, $7, $8, position.last_message_at
      FROM position, job
    RETURNING id
  ), notice AS (${announce('job')})
  SELECT message.id FROM message LEFT JOIN notice ON true`;

/**
 * Ends the attempt with its reply: the assistant's message and the state `succeeded`, together.
 * @returns false when the attempt is no longer the job's; nothing was written then.
 */
export async function finish(manager: EntityManager, jobId: string, attempt: number, reply: Reply): Promise<boolean> {
  const rows = await manager.query<unknown[]>(FINISH, [
    jobId,
    attempt,
    newId(),
    reply.content,
    reply.model,
    reply.stopReason,
    reply.inputTokens,
    reply.outputTokens,
  ]);
  return rows.length > 0;
}

/** What a failed job says of itself; `code` is one of the contract's `JobError` codes. */
export interface JobFault {
  readonly code: 'model_unavailable' | 'model_rejected' | 'attempts_exhausted' | 'internal';
  readonly message: string;
}

const RETRY_OR_FAIL = `
  WITH job AS (
    UPDATE jobs SET
           status = CASE WHEN $3 AND attempts_left > 0 THEN 'queued' ELSE 'failed' END,
           available_at = CASE WHEN $3 THEN now() + make_interval(secs => $4::float8 / 1000) ELSE available_at END,
           finished_at = CASE WHEN $3 AND attempts_left > 0 THEN NULL ELSE now() END,
           error_code = CASE WHEN $3 AND attempts_left > 0 THEN NULL ELSE $5 END,
           error_message = CASE WHEN $3 AND attempts_left > 0 THEN NULL ELSE $6 END,
           lease_until = NULL, draft = ''
     WHERE id = $1 AND status = 'running' AND attempts = $2
    RETURNING id, status
  ), notice AS (${announce('job')})
  SELECT job.status FROM job LEFT JOIN notice ON true`;

/**
 * Ends the attempt without a reply. A fault that may pass puts the job back, due after `delayMs`, while it has
 * attempts left; any other, or the last attempt's, ends the job as `failed`.
 * @returns the job's state now, or undefined when the attempt is no longer the job's.
 */
export async function giveUp(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  fault: JobFault & { readonly retryable: boolean; readonly delayMs: number },
): Promise<'queued' | 'failed' | undefined> {
  const rows = await manager.query<{ status: 'queued' | 'failed' }[]>(RETRY_OR_FAIL, [
    jobId,
    attempt,
    fault.retryable,
    fault.delayMs,
    fault.code,
    fault.message,
  ]);
  return rows[0]?.status;
}

const HAND_BACK = `
  WITH job AS (
    UPDATE jobs SET status = 'queued', attempts_left = attempts_left + 1, lease_until = NULL, draft = '', available_at = now()
     WHERE id = $1 AND status = 'running' AND attempts = $2
    RETURNING id, status
  ), notice AS (${announce('job')})
  SELECT job.id FROM job LEFT JOIN notice ON true`;

/**
 * Puts an attempt that its worker cannot end (it is shutting down) back. It does not count against the job, but its number is
 * not given out again: numbers are fencing tokens.
 * @returns false when the attempt is no longer the job's.
 */
export async function handBack(manager: EntityManager, jobId: string, attempt: number): Promise<boolean> {
  const rows = await manager.query<unknown[]>(HAND_BACK, [jobId, attempt]);
  return rows.length > 0;
}

const CANCEL = `
  WITH chat AS (
    SELECT c.id FROM chats c JOIN jobs j ON j.chat_id = c.id WHERE j.id = $1 AND j.user_id = $2 FOR UPDATE OF c
  ), draft AS (
    SELECT jobs.id, jobs.draft FROM jobs, chat WHERE jobs.id = $1 FOR UPDATE OF jobs
  ), job AS (
    UPDATE jobs SET status = 'canceled', lease_until = NULL, finished_at = now(), draft = ''
      FROM draft
     WHERE jobs.id = draft.id AND jobs.status IN ('queued', 'running')
    RETURNING jobs.*, draft.draft AS text
  ), position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
      FROM job WHERE chats.id = job.chat_id AND job.text ~ '[^[:space:]]'
    RETURNING chats.id, chats.last_seq, chats.last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, status, job_id, model, stop_reason, created_at)
    SELECT $3, position.id, position.last_seq, 'assistant', job.text, 'incomplete', job.id, a.model, 'canceled',
           position.last_message_at
      FROM position, job JOIN chats c ON c.id = job.chat_id JOIN assistants a ON a.slug = c.assistant_slug
  ), notice AS (${announce('job')})
  SELECT job.id FROM job LEFT JOIN notice ON true`;

/**
 * Ends an unfinished job of `userId` as `canceled`, keeping the checkpointed text as an `incomplete` message.
 * The worker that runs it hears the announcement and stops the model call.
 * @returns false when there was nothing to cancel: unknown, somebody else's, or final already.
 */
export async function cancel(manager: EntityManager, jobId: string, userId: string): Promise<boolean> {
  const rows = await manager.query<unknown[]>(CANCEL, [jobId, userId, newId()]);
  return rows.length > 0;
}
