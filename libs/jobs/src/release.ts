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

/**
 * Chats that may be too old: by `idle_since`, which is in an index, as the last message, which each turn moves, is not. It is moved on to
 * the last message of those that are younger, so a chat is looked at in vain about once in the time it is kept.
 */
const EXPIRED = `
  WITH due AS (
    SELECT c.id, c.last_message_at, c.last_message_at < c.bound AS "isOver" FROM assistants a CROSS JOIN LATERAL (
      SELECT id, last_message_at, now() - make_interval(days => a.retention_days) AS bound FROM chats
       WHERE assistant_slug = a.slug AND idle_since < now() - make_interval(days => a.retention_days)
         AND user_id IS NOT NULL
       ORDER BY idle_since LIMIT ${RELEASE_BATCH} FOR UPDATE SKIP LOCKED
    ) AS c
     WHERE a.retention_days IS NOT NULL
     LIMIT ${RELEASE_BATCH}
  ), younger AS (
    UPDATE chats SET idle_since = due.last_message_at FROM due WHERE chats.id = due.id AND NOT due."isOver"
  )
  SELECT id, "isOver" FROM due`;

/** Looked at under the locks: a reply that was just asked for keeps its chat. */
const WITHOUT_TURN = `
  SELECT c.id FROM chats c
   WHERE c.id = ANY($1)
     AND NOT EXISTS (SELECT FROM jobs j WHERE j.chat_id = c.id AND ${isUnfinished('j')})`;

/**
 * Releases chats whose last message is older than their assistant keeps them; one with a turn in flight waits for its end. Many
 * at once take different ones.
 * @returns how many, and whether there may be more to look at
 */
export function releaseExpired(manager: EntityManager): Promise<{ chats: number; more: boolean }> {
  return manager.transaction(async (within) => {
    const due = await within.query<{ id: string; isOver: boolean }[]>(EXPIRED);
    const over = due.filter(({ isOver }) => isOver).map(({ id }) => id);
    const idle = over.length === 0 ? [] : await within.query<{ id: string }[]>(WITHOUT_TURN, [over]);
    if (idle.length === 0) return { chats: 0, more: due.length > over.length };
    const { chats } = await release(
      within,
      idle.map(({ id }) => id),
    );
    return { chats, more: true };
  });
}
