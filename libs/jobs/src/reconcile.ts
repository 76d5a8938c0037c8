import type { EntityManager } from 'typeorm';
import { type Statement, statement } from '#database/statement.js';
import { NOT_WITHHELD, type Withheld } from './claim.js';
import { DISPATCH_IS_ON } from './dispatch.js';
import { ended, ENDED_TURN, type EndedTurn, ENDS, keptTurn } from './ending.js';
import { tokensOfDraft } from './ledger.js';
import { HOUR_IS_OVER, LIVES_SINCE, waits } from './states.js';
import type { JobFault } from './transitions.js';
import { textOfStep } from './steps.js';
import {
  KEY_HOURS,
  LONGEST_LIFE_SECONDS,
  LOST_AFTER_SECONDS,
  MAX_ATTEMPTS,
  PURGE_BATCH,
  RECONCILE_BATCH,
} from './timings.js';

const EXPIRED = 'There was no reply within an hour.';

/** The message of a failed turn: the text of its finished steps (`said`), and its tool calls. */
const FAILED_TURN = { messageId: 'NULL', said: 'job.said', lastText: `''`, stopReason: `'failed'` };

/** SQL, for a FROM list: locks the job's chat, before the job. A job whose chat is locked is left to the next time. */
const ITS_CHAT = `LATERAL (SELECT c.id AS chat FROM chats c WHERE c.id = jobs.chat_id FOR UPDATE SKIP LOCKED) its`;

const END_SPENT = statement(`
  WITH spent AS (
    SELECT id, draft, kept FROM jobs, ${ITS_CHAT}
     WHERE status = 'running' AND lease_until < now() AND (attempts_left = 0 OR ${HOUR_IS_OVER})
     LIMIT ${RECONCILE_BATCH} FOR UPDATE OF jobs SKIP LOCKED
  ), job AS (
    UPDATE jobs SET status = 'failed', ${ENDS},
           error_code = CASE WHEN attempts_left = 0 THEN 'attempts_exhausted' ELSE 'expired' END,
           error_message = CASE WHEN attempts_left = 0 THEN :exhausted ELSE :expired END
      FROM spent WHERE jobs.id = spent.id
    RETURNING jobs.*, spent.draft AS text, spent.kept AS said
  ), call AS (
    UPDATE model_calls SET outcome = 'lost', ended_at = clock_timestamp(), ${tokensOfDraft(textOfStep('job', 'job.text'), 'job')}
      FROM job WHERE model_calls.job_id = job.id AND model_calls.attempt = job.attempts AND model_calls.outcome = 'running'
    RETURNING model_calls.job_id
  ), kept AS (${keptTurn({ ...FAILED_TURN, after: 'call' })}
  ), ${ended('kept')}
  SELECT ${ENDED_TURN} FROM ended`);

/**
 * Ends jobs whose last attempt was lost, or whose hour was over when an attempt was lost. Otherwise they would stay `running` for ever.
 * @returns them
 */
export function endSpent(manager: EntityManager): Promise<EndedTurn[]> {
  return END_SPENT.rows<EndedTurn>(manager, {
    exhausted: `All ${MAX_ATTEMPTS} attempts failed or were lost.`,
    expired: EXPIRED,
  });
}

/** SQL: ends waiting jobs as failed. `where` and `order` choose them, and `:message` is their error. */
const endWaiting = (name: string, where: string, order: string, code: JobFault['code']): Statement =>
  statement(`
  WITH ${name} AS (
    SELECT id, kept FROM jobs, ${ITS_CHAT}
     WHERE ${where}
     ORDER BY ${order} LIMIT ${RECONCILE_BATCH} FOR UPDATE OF jobs SKIP LOCKED
  ), job AS (
    UPDATE jobs SET status = 'failed', ${ENDS}, error_code = '${code}', error_message = :message
      FROM ${name} WHERE jobs.id = ${name}.id
    RETURNING jobs.*, ${name}.kept AS said
  ), kept AS (${keptTurn(FAILED_TURN)}
  ), ${ended('kept')}
  SELECT ${ENDED_TURN} FROM ended`);

// The index has the beginning of the hour; the time of waiting for a person is looked at in the row.
const IS_OLD = `${waits('age')} AND ${LIVES_SINCE} < now() - make_interval(secs => ${LONGEST_LIFE_SECONDS}) AND ${HOUR_IS_OVER}`;
const END_EXPIRED = endWaiting('expired', IS_OLD, LIVES_SINCE, 'expired');

/**
 * Ends jobs that have waited for longer than their hour. So every turn ends, even if the model or the queue stays away.
 * @returns them
 */
export function endExpired(manager: EntityManager): Promise<EndedTurn[]> {
  return END_EXPIRED.rows<EndedTurn>(manager, { message: EXPIRED });
}

const NOBODY = 'Nobody decided in time.';

const IS_UNDECIDED = `status = 'requires_action' AND action_expires_at < now()`;
const END_UNDECIDED = endWaiting('undecided', IS_UNDECIDED, 'action_expires_at, id', 'action_expired');

/**
 * Ends jobs for which nobody decided, or gave the result of a tool, in time.
 * @returns them
 */
export function endUndecided(manager: EntityManager): Promise<EndedTurn[]> {
  return END_UNDECIDED.rows<EndedTurn>(manager, { message: NOBODY });
}

const ABANDONED = statement(`
  SELECT id FROM jobs
   WHERE status = 'running' AND lease_until < now() AND ${DISPATCH_IS_ON}
   ORDER BY lease_until LIMIT ${RECONCILE_BATCH}`);

/** Jobs whose lease has run out, the longest first. None while dispatch is paused. */
export async function abandonedJobs(manager: EntityManager): Promise<string[]> {
  return (await ABANDONED.rows<{ id: string }>(manager)).map(({ id }) => id);
}

const overdue = (alsoIs = ''): Statement =>
  statement(`
  SELECT FROM jobs
   WHERE status = 'queued' AND available_at < now() - make_interval(secs => :seconds) AND ${DISPATCH_IS_ON} ${alsoIs}
   ORDER BY available_at LIMIT 1`);

const OVERDUE = overdue();
const OVERDUE_NOT_WITHHELD = overdue(`AND ${NOT_WITHHELD}`);

/**
 * Whether a job is overdue: its ticket was lost, or there are more jobs than workers.
 * @param seconds how long ago the job was due
 * @param withheld jobs that do not count, because their calls would fail
 */
export async function anyOverdue(
  manager: EntityManager,
  { seconds = LOST_AFTER_SECONDS, withheld }: { seconds?: number; withheld?: Withheld | undefined } = {},
): Promise<boolean> {
  const found = await (withheld === undefined ? OVERDUE : OVERDUE_NOT_WITHHELD).rows(manager, { ...withheld, seconds });
  return found.length > 0;
}

const PURGE_KEYS = statement(`
  DELETE FROM idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys
     WHERE created_at < now() - make_interval(hours => ${KEY_HOURS})
     ORDER BY created_at LIMIT ${PURGE_BATCH} FOR UPDATE SKIP LOCKED)`);

/** Removes a batch of old idempotency keys. @returns whether the batch was full */
export async function purgeKeys(manager: EntityManager): Promise<boolean> {
  return (await PURGE_KEYS.affected(manager)) === PURGE_BATCH;
}
