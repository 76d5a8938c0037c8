import type { EntityManager } from 'typeorm';
import { DISPATCH_IS_ON } from './dispatch.js';
import { announce, LIVES_SINCE } from './states.js';
import { LEASE_SECONDS, LONGEST_LIFE_SECONDS } from './timings.js';

/*
 * Who is served next. A ticket says that some job is due, not which: whoever takes one claims the job whose turn it is.
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
  /** `seq` of the newest message to answer. */
  readonly answersSeq: number;
  readonly systemPrompt: string;
  readonly model: string;
  readonly maxOutputTokens: number;
  /** Seconds since the turn was accepted (or put back by an operator), and since this attempt was due. */
  readonly ageSeconds: number;
  readonly waitedSeconds: number;
  /** An earlier attempt has shown text. */
  readonly hadText: boolean;
}

const MAY_BEGIN = `
  attempts_left > 0 AND ${LIVES_SINCE} > now() - make_interval(secs => ${LONGEST_LIFE_SECONDS}) AND ${DISPATCH_IS_ON}`;

const SINCE = 'coalesce(job.requeued_at, job.created_at)';

/**
 * When a claimed attempt was due. `before` is the row as it was: one statement sees its own change only through what it returns.
 * `available_at` says it only of later attempts, for it is put forward while a worker holds the first one (see {@link hold}).
 */
const DUE = `CASE WHEN before.status = 'running' THEN before.lease_until
                  WHEN job.attempts = 1 THEN ${SINCE} ELSE job.available_at END`;

const claimNext = (order: string): string => `
  WITH lost AS (
    SELECT id FROM jobs WHERE id = $1 AND status = 'running' AND lease_until < now() AND ${MAY_BEGIN}
       FOR UPDATE SKIP LOCKED
  ), next AS (
    SELECT id FROM jobs
     WHERE status = 'queued' AND available_at <= now() AND ${MAY_BEGIN} AND NOT EXISTS (SELECT FROM lost)
     ORDER BY ${order} LIMIT 1 FOR UPDATE SKIP LOCKED
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
  ), notice AS (${announce('job')})
  SELECT job.id, job.chat_id AS "chatId", job.user_id AS "userId", c.assistant_slug AS assistant,
         job.request_id AS "requestId", job.traceparent, job.attempts AS attempt, m.seq AS "answersSeq",
         a.system_prompt AS "systemPrompt", a.model, a.max_output_tokens AS "maxOutputTokens",
         extract(epoch FROM now() - ${SINCE})::float8 AS "ageSeconds",
         extract(epoch FROM now() - ${DUE})::float8 AS "waitedSeconds",
         EXISTS (SELECT FROM model_calls p WHERE p.job_id = job.id AND p.first_text_ms IS NOT NULL) AS "hadText"
    FROM job
    JOIN jobs before ON before.id = job.id
    JOIN messages m ON m.id = job.user_message_id
    JOIN chats c ON c.id = job.chat_id
    JOIN assistants a ON a.slug = c.assistant_slug
    LEFT JOIN notice ON true`;

const CLAIM = { fair: claimNext('round, id'), oldest: claimNext(LIVES_SINCE) };

/**
 * Begins the next attempt at one job: at `lostJobId`, if its last attempt was lost; else at the one that is due and whose user's turn
 * it is. `order` says whether that is the user who was served least (`fair`), or whoever has waited longest (`oldest`).
 * @returns undefined when no job is due
 */
export async function claim(
  manager: EntityManager,
  lostJobId: string | undefined,
  order: keyof typeof CLAIM = 'fair',
): Promise<ClaimedJob | undefined> {
  const rows = await manager.query<ClaimedJob[]>(CLAIM[order], [lostJobId ?? null]);
  return rows[0];
}
