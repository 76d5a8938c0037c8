import type { EntityManager } from 'typeorm';
import { DISPATCH_IS_ON } from './dispatch.js';
import { HISTORY, type HistoryRow } from './history.js';
import { announce, LIVES_SINCE, waits } from './states.js';
import { CLAIMED_AT_ONCE, LEASE_SECONDS, LONGEST_LIFE_SECONDS } from './timings.js';

/*
 * Who is served next. A ticket says that some job is due, not which: whoever takes one claims the jobs whose turn it is, several at
 * once, each with what its call needs, so that between a claim and the call of the model there is no other statement.
 *
 * Jobs stand in rounds. A user's first job joins the round that is being served, each further one a round of its own after that
 * (`next_place`, in the migration): so everybody is served once before anybody is served twice, and who sends ten thousand turns delays
 * another's single one by about one turn. Nothing is counted for it: it follows from the jobs that are unfinished.
 */

/** What a worker needs to begin an attempt. */
export interface ClaimedJob {
  readonly id: string;
  readonly chatId: string;
  readonly userId: string;
  /** Slug of the chat's assistant. */
  readonly assistant: string;
  readonly requestId: string;
  /** Where in its trace the turn was accepted; null where no traces are kept. */
  readonly traceparent: string | null;
  /** The number of this attempt: the fencing token of every later write. */
  readonly attempt: number;
  readonly systemPrompt: string;
  readonly model: string;
  readonly maxOutputTokens: number;
  /** Seconds since the turn was accepted (or put back by an operator), and since this attempt was due. */
  readonly ageSeconds: number;
  readonly waitedSeconds: number;
  /** An earlier attempt has shown text. */
  readonly hadText: boolean;
  /** The attempt before this one was lost. */
  readonly takenOver: boolean;
  /** What to send: the chat's newest messages up to the one to answer, newest first, as many as fit the model. */
  readonly history: readonly HistoryRow[];
}

/** What a worker got that came to the line. */
export interface Claimed {
  readonly jobs: readonly ClaimedJob[];
  /** Others are due that it has not got. */
  readonly more: boolean;
}

const MAY_BEGIN = `
  attempts_left > 0 AND ${LIVES_SINCE} > now() - make_interval(secs => ${LONGEST_LIFE_SECONDS}) AND ${DISPATCH_IS_ON}`;

const IS_DUE = `available_at <= now() AND ${MAY_BEGIN}`;

const SINCE = 'coalesce(job.requeued_at, job.created_at)';

/** When a claimed attempt was due. `before` is the row as it was: one statement sees its own change only through what it returns. */
const DUE = `CASE WHEN before.status = 'running' THEN before.lease_until ELSE job.available_at END`;

/*
 * The limit is in the text, not a value: PostgreSQL makes one plan for all values, and one for any limit could be to sort the whole line.
 *
 * The line of the call in the ledger is opened with the claim. There is no call without its line, and hardly a line without its call.
 */
const claimNext = (index: 'line' | 'age', order: string, limit: number): string => `
  WITH lost AS (
    SELECT id FROM jobs WHERE id = ANY ($1::uuid[]) AND status = 'running' AND lease_until < now() AND ${MAY_BEGIN}
     LIMIT ${limit} FOR UPDATE SKIP LOCKED
  ), next AS (
    SELECT id FROM jobs WHERE ${waits(index)} AND ${IS_DUE} AND NOT EXISTS (SELECT FROM lost)
     ORDER BY ${order} LIMIT ${limit} FOR UPDATE SKIP LOCKED
  ), job AS (
    UPDATE jobs SET status = 'running', attempts = attempts + 1, attempts_left = attempts_left - 1, draft = '',
           lease_until = now() + make_interval(secs => ${LEASE_SECONDS}),
           started_at = coalesce(started_at, clock_timestamp())
      FROM (SELECT id FROM lost UNION ALL SELECT id FROM next) chosen
     WHERE jobs.id = chosen.id
    RETURNING jobs.*
  ), ended AS (
    UPDATE model_calls SET outcome = 'lost', ended_at = clock_timestamp()
      FROM job WHERE model_calls.job_id = job.id AND model_calls.outcome = 'running'
  ), begun AS (
    INSERT INTO model_calls (job_id, attempt, model, user_id, assistant_slug)
    SELECT job.id, job.attempts, a.model, job.user_id, a.slug
      FROM job JOIN chats c ON c.id = job.chat_id JOIN assistants a ON a.slug = c.assistant_slug
  ), notice AS (${announce('job')})
  SELECT job.id, job.chat_id AS "chatId", job.user_id AS "userId", a.slug AS assistant,
         job.request_id AS "requestId", job.traceparent, job.attempts AS attempt,
         a.system_prompt AS "systemPrompt", a.model, a.max_output_tokens AS "maxOutputTokens",
         extract(epoch FROM now() - ${SINCE})::float8 AS "ageSeconds",
         extract(epoch FROM now() - ${DUE})::float8 AS "waitedSeconds",
         EXISTS (SELECT FROM model_calls p WHERE p.job_id = job.id AND p.first_text_ms IS NOT NULL) AS "hadText",
         before.status = 'running' AS "takenOver", (${HISTORY}) AS history,
         EXISTS (SELECT FROM lost) OR ((SELECT count(*) FROM next) = ${limit} AND EXISTS
           (SELECT FROM jobs WHERE status = 'queued' AND ${IS_DUE} AND id NOT IN (SELECT id FROM next))) AS more
    FROM job
    JOIN jobs before ON before.id = job.id
    JOIN messages m ON m.id = job.user_message_id
    JOIN chats c ON c.id = job.chat_id
    JOIN assistants a ON a.slug = c.assistant_slug
    LEFT JOIN notice ON notice.id = job.id
   ORDER BY job.round, job.id`;

const FAIR = Array.from({ length: CLAIMED_AT_ONCE }, (_, n) => claimNext('line', 'round, id', n + 1));
const OLDEST = claimNext('age', LIVES_SINCE, 1);

/**
 * Begins the next attempt at the jobs of `lost` whose last one was lost; if there are none, at those that are due and whose users' turn
 * it is. At `most` at once, no more than {@link CLAIMED_AT_ONCE}.
 *
 * `order` says whether that is the users who were served least (`fair`), or whoever has waited longest (`oldest`, one).
 */
export async function claim(
  manager: EntityManager,
  { most, lost = [], order = 'fair' }: { most: number; lost?: readonly string[]; order?: 'fair' | 'oldest' },
): Promise<Claimed> {
  const text = order === 'oldest' ? OLDEST : FAIR[Math.min(most, CLAIMED_AT_ONCE) - 1];
  if (text === undefined) return { jobs: [], more: true };
  const rows = await manager.query<(ClaimedJob & { more: boolean })[]>(text, [lost]);
  return { jobs: rows, more: rows[0]?.more ?? false };
}
