import { setTimeout as sleep } from 'node:timers/promises';
import type { EntityManager } from 'typeorm';
import { isUnfinished } from '#database/columns.js';
import { oneRow } from '#database/rows.js';
import { JOB_CHANNEL } from './states.js';
import { CANCEL_MS, RELEASE_BATCH } from './timings.js';

/*
 * Removing chats, first half: they are released from their user, in one short transaction. From its commit on no request finds
 * them, nothing is written into them, and the turns that were in flight in them are canceled; their workers hear of it as of
 * any cancel, and stop. Keys that keep a chat as it was go at once, too. What rows there are goes afterwards, a batch at a time (see clear.ts).
 */

const RELEASE = `
  WITH chat AS (
    UPDATE chats SET released_from = user_id, user_id = NULL, updated_at = clock_timestamp()
     WHERE id = ANY ($1::uuid[]) AND user_id IS NOT NULL
    RETURNING id, last_seq
  ), job AS (
    UPDATE jobs SET status = 'canceled', lease_until = NULL, finished_at = clock_timestamp(), draft = ''
     WHERE chat_id = ANY (ARRAY(SELECT id FROM chat)) AND ${isUnfinished('jobs')}
    RETURNING id, status
  ), key AS (
    DELETE FROM idempotency_keys WHERE chat IS NOT NULL AND chat ->> 'id' = ANY ($1::text[])
  ), notice AS (SELECT job.id, pg_notify('${JOB_CHANNEL}', job.id || ' ' || job.status) FROM job)
  SELECT (SELECT count(*) FROM chat)::int AS chats,
         (SELECT coalesce(sum(last_seq), 0) FROM chat)::int AS messages,
         (SELECT count(*) FROM jobs WHERE chat_id = ANY (ARRAY(SELECT id FROM chat)))::int AS jobs,
         ARRAY(SELECT id FROM notice) AS "endedJobs"`;

/** What was released. A chat's messages are numbered without gaps: its last number counts them. */
export interface Released {
  readonly chats: number;
  readonly messages: number;
  readonly jobs: number;
  /** The jobs that were canceled by it. */
  readonly endedJobs: readonly string[];
}

/**
 * Releases chats from their user. To be called in a transaction that has locked them by an earlier statement: only then a turn
 * that was accepted in the last moment is seen. Call {@link settled} once it is committed.
 */
export async function release(manager: EntityManager, chatIds: readonly string[]): Promise<Released> {
  return oneRow(await manager.query<Released[]>(RELEASE, [chatIds]));
}

const UNSETTLED = `SELECT FROM model_calls WHERE job_id = ANY($1) AND outcome = 'running' LIMIT 1`;

/** How often it is looked whether calls have ended, in milliseconds. */
const LOOK_MS = 20;

/**
 * Waits until the model calls of released jobs have ended and what they cost is in the ledger; for as long as a cancel waits at
 * most. Once the rows are cleared, nothing leads from such a job to its line.
 */
export async function settled(manager: EntityManager, jobIds: readonly string[]): Promise<void> {
  if (jobIds.length === 0) return;
  const deadline = Date.now() + CANCEL_MS;
  while (Date.now() < deadline) {
    if ((await manager.query<unknown[]>(UNSETTLED, [jobIds])).length === 0) return;
    await sleep(LOOK_MS);
  }
}

const EXPIRED = `
  SELECT c.id FROM assistants a CROSS JOIN LATERAL (
    SELECT id FROM chats
     WHERE assistant_slug = a.slug AND last_message_at < now() - make_interval(days => a.retention_days)
       AND user_id IS NOT NULL
     ORDER BY last_message_at LIMIT ${RELEASE_BATCH} FOR UPDATE SKIP LOCKED
  ) AS c
   WHERE a.retention_days IS NOT NULL
   LIMIT ${RELEASE_BATCH}`;

/** Looked at under the locks: a reply that was just asked for keeps its chat. */
const WITHOUT_TURN = `
  SELECT c.id FROM chats c
   WHERE c.id = ANY($1)
     AND NOT EXISTS (SELECT FROM jobs j WHERE j.chat_id = c.id AND ${isUnfinished('j')})`;

/**
 * Releases chats whose last message is older than their assistant keeps them; one with a turn in flight waits for its end. Many
 * at once take different ones.
 * @returns how many; none: there are no more
 */
export function releaseExpired(manager: EntityManager): Promise<number> {
  return manager.transaction(async (within) => {
    const expired = await within.query<{ id: string }[]>(EXPIRED);
    if (expired.length === 0) return 0;
    const idle = await within.query<{ id: string }[]>(WITHOUT_TURN, [expired.map(({ id }) => id)]);
    if (idle.length === 0) return 0;
    const { chats } = await release(
      within,
      idle.map(({ id }) => id),
    );
    return chats;
  });
}
