import type { EntityManager } from 'typeorm';
import type { components } from '#contract/openapi.gen.js';
import { NEXT_MOMENT } from '#database/columns.js';
import type { MessageStatus, StopDetails } from '#database/entities/message.entity.js';
import { newId } from '#database/ids.js';
import { leaveOut } from './history.js';
import { type CallFigures, endCalls, figureValues, NO_FIGURES } from './ledger.js';
import {
  announce,
  CANCEL_CHANNEL,
  DISPATCH_CHANNEL,
  endedTurn,
  type EndedTurn,
  HANDED_BACK,
  LIVES_SINCE,
} from './states.js';
import { LONGEST_LIFE_SECONDS, MAX_ATTEMPTS, MOST_FREE_ATTEMPTS, NEW_IN_LAST } from './timings.js';

/*
 * The transitions of a job that a worker or a user makes, but for its beginning (claim.ts) and its heartbeat (extend.ts). The reconciler's
 * are in reconcile.ts, a deletion's in release.ts, an operator's in requeue.ts. Each is one conditional statement on the database's clock.
 * No row back means "not yours any more: stop". The number of a running attempt (`attempts`) fences it: a worker whose lease ran out has a
 * number that no row carries any more.
 *
 * The lock order is chat, job, ledger, messages, here and in accept.ts, so that no two statements wait for one another. The time of an
 * event is read once the locks are held (`clock_timestamp()`). `now()` is when the statement began to wait, so a job could end before it
 * started. A lease and a due time only have to be early enough, so they count from `now()`.
 *
 * Each statement announces the new state itself, so the notice leaves with the commit or not at all. Each also ends the entry of the
 * attempt's call in the ledger.
 */

/** The reply as its message stores it. */
export interface Reply {
  readonly content: string;
  readonly model: string;
  readonly stopReason: string;
  /** `incomplete`: the model ended it early, because it had no room or refused. */
  readonly status: MessageStatus;
  readonly stopDetails: StopDetails | null;
  /** Later prompts leave the turn out, question and reply, because the model refused it and would again. */
  readonly leftOut: boolean;
}

const finishing = (alsoDoes: string): string => `
  WITH chat AS (
    SELECT c.id FROM chats c JOIN jobs j ON j.chat_id = c.id WHERE j.id = $1 FOR UPDATE OF c
  ), job AS (
    UPDATE jobs SET status = 'succeeded', lease_until = NULL, finished_at = clock_timestamp(), draft = ''
      FROM chat
     WHERE jobs.id = $1 AND jobs.status = 'running' AND jobs.attempts = $2
    RETURNING jobs.id, jobs.chat_id, jobs.status, jobs.attempts, jobs.user_message_id
  ), call AS (${endCalls('job', { outcome: `'completed'`, figuresFrom: 10 })}
  ), position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
      FROM job WHERE chats.id = job.chat_id
    RETURNING chats.id, chats.last_seq, chats.last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, stop_reason, status, stop_details, left_out_by,
                          input_tokens, output_tokens, usage_estimated, created_at)
    SELECT $3, position.id, position.last_seq, 'assistant', $4, job.id, $5, $6, $7, $8::jsonb, CASE WHEN $9::boolean THEN job.id END,
           coalesce(call.input_tokens, 0), coalesce(call.output_tokens, 0), coalesce(call.estimated, false),
           position.last_message_at
      FROM position, job LEFT JOIN call ON true
    RETURNING id
  )${alsoDoes}, notice AS (${announce('job')})
  SELECT EXISTS (SELECT FROM jobs WHERE status = 'queued' AND available_at <= now()) AS more
    FROM message LEFT JOIN notice ON true`;

/** The second text is for turns that later prompts leave out. Ordinary turns have a text without that part, which is planned faster. */
const FINISH = finishing('');
const FINISH_LEFT_OUT = finishing(`, left_out AS (${leaveOut('job')})`);

/** What the end of an attempt tells of other jobs. */
export interface Finished {
  readonly more: boolean;
}

/**
 * Ends the attempt with its reply: the assistant's message and the state `succeeded`, together. The message's usage is that of the ledger.
 * @returns undefined: the job is another attempt's, and nothing was written
 */
export async function finish(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  reply: Reply,
  figures: CallFigures,
): Promise<Finished | undefined> {
  const [finished] = await manager.query<Finished[]>(reply.leftOut ? FINISH_LEFT_OUT : FINISH, [
    jobId,
    attempt,
    newId(),
    reply.content,
    reply.model,
    reply.stopReason,
    reply.status,
    reply.stopDetails,
    reply.leftOut,
    ...figureValues(figures),
  ]);
  return finished;
}

/** The error of a failed job. `code` is one of the contract's `JobError` codes. */
export interface JobFault {
  readonly code: components['schemas']['JobErrorCode'];
  readonly message: string;
}

/** SQL: the attempt does not count. Its worker says so, and the job has not had too many of that kind. */
const IS_FREE = `($6 AND free_attempts < ${MOST_FREE_ATTEMPTS})`;

/**
 * SQL: the job goes on. Fewer of its attempts have failed with this code than may, an attempt is left or this one is free, and it is not
 * too old. If as many may fail as there are attempts, the attempts that are left decide alone: otherwise free ones would count.
 */
const GOES_ON = `($3 >= ${MAX_ATTEMPTS} OR $3 > 1 + (
    SELECT count(*) FROM model_calls earlier
     WHERE earlier.job_id = $1 AND earlier.attempt < $2 AND earlier.error_code = $4 AND earlier.started_at >= ${LIVES_SINCE})
  OR ${IS_FREE})
  AND (attempts_left > 0 OR ${IS_FREE}) AND ${LIVES_SINCE} > now() - make_interval(secs => ${LONGEST_LIFE_SECONDS})`;

const failing = (alsoDoes: string): string => `
  WITH held AS (
    SELECT id, ${GOES_ON} AS goes_on, ${IS_FREE} AS is_free FROM jobs
     WHERE id = $1 AND status = 'running' AND attempts = $2 FOR NO KEY UPDATE
  ), job AS (
    UPDATE jobs SET
           status = CASE WHEN goes_on THEN 'queued' ELSE 'failed' END,
           attempts_left = CASE WHEN goes_on AND is_free THEN attempts_left + 1 ELSE attempts_left END,
           free_attempts = CASE WHEN goes_on AND is_free THEN free_attempts + 1 ELSE free_attempts END,
           available_at = CASE WHEN goes_on THEN now() + make_interval(secs => $7::float8 / 1000) ELSE available_at END,
           finished_at = CASE WHEN goes_on THEN NULL ELSE clock_timestamp() END,
           error_code = CASE WHEN goes_on THEN NULL ELSE $4 END,
           error_message = CASE WHEN goes_on THEN NULL ELSE $5 END,
           lease_until = NULL, draft = ''
      FROM held WHERE jobs.id = held.id
    RETURNING jobs.id, jobs.status, jobs.attempts, jobs.chat_id, jobs.user_message_id
  ), call AS (${endCalls('job', { outcome: `'failed'`, code: '$4', figuresFrom: 8 })}
  )${alsoDoes}, notice AS (${announce('job')})
  SELECT job.status FROM job LEFT JOIN notice ON true`;

const RETRY_OR_FAIL = failing('');
const FAIL_LEFT_OUT = failing(`, left_out AS (${leaveOut('job')} AND job.status = 'failed')`);

/** How an attempt failed, and what that means for the job. */
export interface FailedAttempt extends JobFault {
  /** How many of the job's attempts may fail with this code; 1: a retry cannot help. */
  readonly most: number;
  /** The attempt does not count, because the model is away or an operator has to act. A job has a bounded number of these. */
  readonly free: boolean;
  /** If the job ends with this fault, later prompts leave its turn out, because the model refuses the turn itself. */
  readonly leavesOut: boolean;
  /** Time until it may be tried again, in milliseconds. */
  readonly delayMs: number;
}

/**
 * Ends the attempt without a reply. After a temporary fault the job is queued again, due after `delayMs`, if it has attempts left and has
 * not failed in that way too often. Any other fault ends the job as `failed`.
 * @returns the job's state; undefined: the job is another attempt's
 */
export async function giveUp(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  fault: FailedAttempt,
  figures: CallFigures,
): Promise<'queued' | 'failed' | undefined> {
  const rows = await manager.query<{ status: 'queued' | 'failed' }[]>(fault.leavesOut ? FAIL_LEFT_OUT : RETRY_OR_FAIL, [
    jobId,
    attempt,
    fault.most,
    fault.code,
    fault.message,
    fault.free,
    fault.delayMs,
    ...figureValues(figures),
  ]);
  return rows[0]?.status;
}

const HAND_BACK = `
  WITH job AS (
    UPDATE jobs SET status = 'queued', attempts_left = attempts_left + 1, lease_until = NULL, draft = '', available_at = now(),
           left_to_workers_since = now() - make_interval(secs => $3)
     WHERE id = $1 AND status = 'running' AND attempts = $2
    RETURNING id, status, attempts
  ), call AS (${endCalls('job', { outcome: `'handed_back'`, figuresFrom: 4 })}
  ), notice AS (${announce('job')}
  ), due AS (SELECT pg_notify('${DISPATCH_CHANNEL}', '${HANDED_BACK}') FROM job)
  SELECT job.id FROM job LEFT JOIN notice ON true LEFT JOIN due ON true`;

/** For how long a worker has been running, and since when it has been told to stop, in seconds. */
export interface StoppingWorker {
  readonly uptimeSeconds: number;
  readonly stoppingSeconds: number;
}

/**
 * Puts an attempt that its worker cannot end (it is shutting down) back. It does not count against the job, but its number is
 * not given out again: numbers are fencing tokens. New workers may take the job at once, the others a little later.
 * @returns false when the attempt is no longer the job's.
 */
export async function handBack(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  figures: CallFigures,
  worker: StoppingWorker,
): Promise<boolean> {
  const { uptimeSeconds, stoppingSeconds } = worker;
  const newSeconds = stoppingSeconds + (uptimeSeconds - stoppingSeconds) * NEW_IN_LAST;
  const rows = await manager.query<unknown[]>(HAND_BACK, [jobId, attempt, newSeconds, ...figureValues(figures)]);
  return rows.length > 0;
}

const ASK_CANCEL = `
  SELECT pg_notify('${CANCEL_CHANNEL}', id::text) FROM jobs WHERE id = $1 AND user_id = $2 AND status = 'running'`;

/**
 * Asks the worker that runs a job of `userId` to cancel it, with all of its text.
 * @returns false: no worker runs it
 */
export async function askCancel(manager: EntityManager, jobId: string, userId: string): Promise<boolean> {
  const rows = await manager.query<unknown[]>(ASK_CANCEL, [jobId, userId]);
  return rows.length > 0;
}

/** A cancel by the user ($2), whatever the job's state, or by the attempt ($4), which brings its text ($5). */
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
  ), call AS (${endCalls('job', { outcome: `'canceled'`, figuresFrom: 6, text: 'job.text' })}
  ), position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT}
      FROM job WHERE chats.id = job.chat_id AND job.text ~ '[^[:space:]]'
    RETURNING chats.id, chats.last_seq, chats.last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, status, job_id, model, stop_reason, input_tokens, output_tokens,
                          usage_estimated, created_at)
    SELECT $3, position.id, position.last_seq, 'assistant', job.text, 'incomplete', job.id, a.model, 'canceled',
           coalesce(call.input_tokens, 0), coalesce(call.output_tokens, 0), coalesce(call.estimated, true),
           position.last_message_at
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
