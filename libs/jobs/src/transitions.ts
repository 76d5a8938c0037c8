import type { EntityManager } from 'typeorm';
import type { components } from '#contract/openapi.gen.js';
import { NEXT_MOMENT } from '#database/columns.js';
import type { MessageStatus, StopDetails } from '#database/entities/message.entity.js';
import type { OtherPart } from '#database/entities/part.js';
import { newId } from '#database/ids.js';
import { statement } from '#database/statement.js';
import { ended, ENDED_TURN, type EndedTurn, ENDS, endsUnless, keptTurn } from './ending.js';
import { leaveOut } from './history.js';
import { type CallFigures, endCalls, figureValues, USAGE_COLUMNS, usageOf } from './ledger.js';
import { announce, DISPATCH_CHANNEL, HANDED_BACK, HOUR_IS_OVER, LIVES_SINCE } from './states.js';
import { MAX_ATTEMPTS, MOST_FREE_ATTEMPTS, NEW_IN_LAST } from './timings.js';

/*
 * The transitions by which a worker ends an attempt; a cancel, which its user may make as well, is in cancel.ts. The claim is in claim.ts,
 * the heartbeat in extend.ts, a finished step in steps.ts. The reconciler's transitions are in reconcile.ts, a deletion's in release.ts, an
 * operator's in requeue.ts. Each transition is one conditional statement on the database's
 * clock. No row back means "not yours any more: stop". The number of a running attempt (`attempts`) fences it: once another attempt has the
 * job, the number of the earlier attempt matches no row.
 *
 * The lock order is chat, job, ledger, messages, here and in accept.ts, so that no two statements wait for one another. A statement reads
 * the time of an event once it holds the locks (`clock_timestamp()`). `now()` would be the time before the wait, so a job could end before
 * it started. A lease and a due time only have to be early enough, so they count from `now()`.
 *
 * A statement reads its chat with a subquery for the key, and not with a join: for a join PostgreSQL may read the chats in order, from the
 * oldest to this one, if statistics make that look cheap.
 *
 * Each statement announces the new state itself, so the notice leaves with the commit or not at all. Each also ends the ledger's entry of
 * the attempt's call. ending.ts has the parts that all ends of a job share.
 */

/** The reply as its message stores it. */
export interface Reply {
  readonly content: string;
  /** The part of the content that the last answer added, and that answer's other parts (null: none). */
  readonly lastText: string;
  readonly otherParts: readonly OtherPart[] | null;
  readonly model: string;
  readonly stopReason: string;
  /** `incomplete`: the model ended the reply early, because it had no room or refused. */
  readonly status: MessageStatus;
  readonly stopDetails: StopDetails | null;
  /** `seq` of the first message that its prompt had, which later prompts begin with, too; null: the chat's window did not move. */
  readonly windowFromSeq: number | null;
  /** Tokens of the last answer and its prompt, as far as later prompts have them; null: the model did not report them. */
  readonly contextTokens: number | null;
  /** How many steps were finished before this answer. */
  readonly steps: number;
  /** Later prompts leave the turn out, question and reply, because the model refused it and would again. */
  readonly leftOut: boolean;
}

const finishing = (message: string): string => `
  WITH chat AS (
    SELECT id FROM chats WHERE id = (SELECT chat_id FROM jobs WHERE id = :jobId) FOR UPDATE
  ), job AS (
    UPDATE jobs SET status = 'succeeded', window_from_seq = coalesce(window_from_seq, :windowFromSeq::int), ${ENDS}
      FROM chat
     WHERE jobs.id = :jobId AND jobs.status = 'running' AND jobs.attempts = :attempt
    RETURNING jobs.id, jobs.chat_id, jobs.status, jobs.attempts, jobs.step, jobs.assistant_version, jobs.user_message_id,
           jobs.created_at, jobs.requeued_at, jobs.finished_at
  ), call AS (${endCalls('job', { outcome: `'completed'` })}
  ), ${message}
  SELECT EXISTS (SELECT FROM jobs WHERE status = 'queued' AND available_at <= now()) AS more, ${ENDED_TURN} FROM ended`;

const PLAIN = `position AS (
    UPDATE chats SET last_seq = last_seq + 1, last_message_at = ${NEXT_MOMENT},
           window_from_seq = coalesce(:windowFromSeq::int, window_from_seq),
           context_tokens = :contextTokens::int
     WHERE id = (SELECT chat_id FROM job)
    RETURNING id, last_seq, last_message_at
  ), message AS (
    INSERT INTO messages (id, chat_id, seq, role, content, job_id, model, assistant_version, stop_reason, status, stop_details,
                          ${USAGE_COLUMNS}, created_at)
    SELECT :messageId, position.id, position.last_seq, 'assistant', :content, job.id, :model, job.assistant_version, :stopReason,
           :status, :stopDetails::jsonb, ${usageOf({ estimated: false })}, position.last_message_at
      FROM position, job LEFT JOIN call ON true
    RETURNING id
  ), ${ended('none')}`;

const KEPT = keptTurn({
  messageId: ':messageId',
  said: ':content',
  lastText: ':lastText',
  otherParts: ':otherParts::jsonb',
  model: ':model',
  stopReason: ':stopReason',
  status: ':status',
  stopDetails: ':stopDetails::jsonb',
  leftOut: ':leftOut',
  where: 'true',
  after: 'call',
});

/** Most turns have one step and only text, and later prompts include them. The statement for these begins faster. */
const FINISH_PLAIN = statement(finishing(PLAIN));
const FINISH = statement(
  finishing(`left_out AS (${leaveOut('job')} AND :leftOut), kept AS (${KEPT}), ${ended('kept')}`),
);

/** The end of a turn, and whether other jobs are due. */
export interface Finished extends EndedTurn {
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
  const isPlain = reply.steps === 0 && !reply.leftOut && reply.otherParts === null;
  const [finished] = await (isPlain ? FINISH_PLAIN : FINISH).rows<Finished>(
    manager,
    { otherParts: reply.otherParts && JSON.stringify(reply.otherParts) },
    reply,
    { jobId, attempt, messageId: newId() },
    figureValues(figures),
  );
  return finished;
}

/** The error of a failed job. `code` is one of the contract's `JobError` codes. */
export interface JobFault {
  readonly code: components['schemas']['JobErrorCode'];
  readonly message: string;
}

/** SQL: the attempt does not count. Its worker says so, and the job has not had too many such attempts. */
const IS_FREE = `(:free AND free_attempts < ${MOST_FREE_ATTEMPTS})`;

/**
 * SQL: the job goes on. This requires that the attempts at this step that failed with this code are fewer than `most`, that an attempt is
 * left or this one is free, and that the job is not too old. If `most` is the number of all attempts, only the attempts left decide:
 * otherwise free attempts would count.
 */
const GOES_ON = `(:most >= ${MAX_ATTEMPTS} OR :most > 1 + (
    SELECT count(*) FROM model_calls earlier
     WHERE earlier.job_id = :jobId AND earlier.attempt < :attempt AND earlier.step = jobs.step + 1 AND earlier.error_code = :code
       AND earlier.started_at >= ${LIVES_SINCE})
  OR ${IS_FREE})
  AND (attempts_left > 0 OR ${IS_FREE}) AND NOT ${HOUR_IS_OVER}`;

/** SQL: the version with which the job goes on; null: the current one. */
const NEXT_VERSION = `CASE WHEN :definitionUnusable AND step = 0 THEN NULL ELSE assistant_version END`;

const LOCKED_CHAT = `chat AS (
    SELECT id AS chat FROM chats WHERE id = (SELECT chat_id FROM jobs WHERE id = :jobId) FOR UPDATE
  ), `;

/** A failed turn leaves the text of its finished steps, and its tool calls. */
const FAILED_TURN = keptTurn({
  messageId: ':messageId',
  said: 'job.said',
  lastText: `''`,
  stopReason: `'failed'`,
  leftOut: ':leavesOut',
  after: 'call',
});

const failing = (turn: 'plain' | 'with steps', alsoDoes = ''): string => `
  WITH ${turn === 'plain' ? '' : LOCKED_CHAT}held AS (
    SELECT id, ${GOES_ON} AS goes_on, ${IS_FREE} AS is_free, kept FROM jobs${turn === 'plain' ? '' : ', chat'}
     WHERE id = :jobId AND status = 'running' AND attempts = :attempt FOR NO KEY UPDATE OF jobs
  ), job AS (
    UPDATE jobs SET
           status = CASE WHEN goes_on THEN 'queued' ELSE 'failed' END,
           attempts_left = CASE WHEN goes_on AND is_free THEN attempts_left + 1 ELSE attempts_left END,
           free_attempts = CASE WHEN goes_on AND is_free THEN free_attempts + 1 ELSE free_attempts END,
           available_at = CASE WHEN goes_on THEN now() + make_interval(secs => :delayMs::float8 / 1000) ELSE available_at END,
           assistant_version = CASE WHEN goes_on THEN ${NEXT_VERSION} ELSE assistant_version END,
           error_code = CASE WHEN goes_on THEN NULL ELSE :code END,
           error_message = CASE WHEN goes_on THEN NULL ELSE :message END,
           ${endsUnless('goes_on')}
      FROM held WHERE jobs.id = held.id
    RETURNING jobs.*, held.kept AS said
  ), call AS (${endCalls('job', { outcome: `'failed'`, code: ':code' })}
  ), ${alsoDoes}${turn === 'plain' ? ended('none') : `kept AS (${FAILED_TURN}), ${ended('kept')}`}
  SELECT ${ENDED_TURN} FROM ended`;

const LEFT_OUT = `left_out AS (${leaveOut('job')} AND job.status = 'failed'), `;
const RETRY_OR_FAIL = { plain: statement(failing('plain')), leftOut: statement(failing('plain', LEFT_OUT)) };
const WITH_STEPS = { plain: statement(failing('with steps')), leftOut: statement(failing('with steps', LEFT_OUT)) };

/** How an attempt failed, and what follows for the job. */
export interface FailedAttempt extends JobFault {
  /** How many steps were finished. */
  readonly steps: number;
  /** How many of the job's attempts may fail with this code; 1: a retry cannot help. */
  readonly most: number;
  /** The attempt does not count, because the model is away or an operator has to act. A job has a bounded number of these. */
  readonly free: boolean;
  /** An operator has to correct the assistant's definition. The next attempt takes the current one. */
  readonly definitionUnusable: boolean;
  /** If the job ends with this fault, later prompts leave its turn out, because the model refuses the turn itself. */
  readonly leavesOut: boolean;
  /** Time until the job may be tried again, in milliseconds. */
  readonly delayMs: number;
}

/** A job that goes on after a failed attempt. */
interface Retried {
  readonly status: 'queued';
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
): Promise<Retried | EndedTurn | undefined> {
  const statements = fault.steps === 0 ? RETRY_OR_FAIL : WITH_STEPS;
  const [state] = await (fault.leavesOut ? statements.leftOut : statements.plain).rows<Retried | EndedTurn>(
    manager,
    fault,
    { jobId, attempt, messageId: newId() },
    figureValues(figures),
  );
  return state;
}

const HAND_BACK = statement(`
  WITH job AS (
    UPDATE jobs SET status = 'queued', attempts_left = attempts_left + 1, lease_until = NULL, draft = kept,
           available_at = now(), left_to_workers_since = now() - make_interval(secs => :newSeconds)
     WHERE id = :jobId AND status = 'running' AND attempts = :attempt
    RETURNING id, status, attempts
  ), call AS (${endCalls('job', { outcome: `'handed_back'` })}
  ), notice AS (${announce('job')}
  ), due AS (SELECT pg_notify('${DISPATCH_CHANNEL}', '${HANDED_BACK}') FROM job)
  SELECT job.id FROM job LEFT JOIN notice ON true LEFT JOIN due ON true`);

/** How long a worker has been running, and how long it has been stopping, in seconds. */
export interface StoppingWorker {
  readonly uptimeSeconds: number;
  readonly stoppingSeconds: number;
}

/**
 * Hands a job back whose attempt a stopping worker cannot end. The attempt does not count against the job, but no other attempt gets its
 * number, which is a fencing token. New workers may take the job at once, the others a little later.
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
  const rows = await HAND_BACK.rows(manager, { jobId, attempt, newSeconds }, figureValues(figures));
  return rows.length > 0;
}
