import { setTimeout as sleep } from 'node:timers/promises';
import type { EntityManager } from 'typeorm';
import { isUnfinished } from '#database/columns.js';
import { oneRow } from '#database/rows.js';
import { statement } from '#database/statement.js';
import { ended, type EndedTurn, ENDS } from '#jobs/ending.js';
import { turnEnded } from '#telemetry/turns.js';
import { CANCEL_MS, RELEASE_BATCH } from '#jobs/timings.js';

/*
 * Deleting chats, first half: one short transaction releases them from their user. From its commit on, no request finds the chats or writes
 * into them, and their turns in flight are canceled; workers stop these as after any cancel. Idempotency keys that hold a copy of a chat go
 * at once, too. The rows are deleted afterwards, a batch at a time (see clear.ts).
 */

const RELEASE = statement(`
  WITH chat AS (
    UPDATE chats SET released_from = user_id, user_id = NULL, updated_at = clock_timestamp()
     WHERE id = ANY (:chatIds::uuid[]) AND user_id IS NOT NULL
    RETURNING id, last_seq
  ), job AS (
    UPDATE jobs SET status = 'canceled', ${ENDS}
     WHERE chat_id = ANY (ARRAY(SELECT id FROM chat)) AND ${isUnfinished('jobs')}
    RETURNING jobs.*
  ), key AS (
    DELETE FROM idempotency_keys WHERE chat IS NOT NULL AND chat ->> 'id' = ANY (:chatIds::text[])
  ), ${ended('settled')}
  SELECT (SELECT count(*) FROM chat)::int AS chats,
         (SELECT coalesce(sum(last_seq), 0) FROM chat)::int AS messages,
         (SELECT count(*) FROM jobs WHERE chat_id = ANY (ARRAY(SELECT id FROM chat)))::int AS jobs,
         coalesce((SELECT json_agg(ended) FROM ended), '[]') AS "endedJobs"`);

/** The rows of a release. A chat's messages are numbered without gaps, so its last number is their count. */
export interface Released {
  readonly chats: number;
  readonly messages: number;
  readonly jobs: number;
  /** The jobs that the release canceled. */
  readonly endedJobs: readonly (EndedTurn & { readonly id: string })[];
}

/**
 * Releases chats from their user. An earlier statement of the transaction must have locked them: only then does this statement see a turn
 * that was accepted at the last moment. Call {@link afterRelease} after the commit.
 */
export async function release(manager: EntityManager, chatIds: readonly string[]): Promise<Released> {
  return oneRow(await RELEASE.rows<Released>(manager, { chatIds }));
}

const UNSETTLED = `SELECT FROM model_calls WHERE job_id = ANY($1) AND outcome = 'running' LIMIT 1`;

/** How often to check whether the calls have ended, in milliseconds. */
const LOOK_MS = 20;

/**
 * Call this once a release is committed. It counts the canceled turns, and waits until their calls have ended and the figures are in the
 * ledger, but no longer than a cancel waits. Once the rows are cleared, nothing leads from such a job to its entry.
 */
export async function afterRelease(manager: EntityManager, { endedJobs }: Pick<Released, 'endedJobs'>): Promise<void> {
  endedJobs.forEach(turnEnded);
  const jobIds = endedJobs.map(({ id }) => id);
  if (jobIds.length === 0) return;
  const deadline = Date.now() + CANCEL_MS;
  while (Date.now() < deadline) {
    if ((await manager.query<unknown[]>(UNSETTLED, [jobIds])).length === 0) return;
    await sleep(LOOK_MS);
  }
}

/**
 * Chats that may be too old. The index holds `idle_since`, since the time of the last message changes with each turn. For younger chats
 * `idle_since` is set to the time of the last message. So the statement reads each chat in vain about once in its retention time.
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

/** Checked under the locks: a chat stays if a reply was requested just now. */
const WITHOUT_TURN = `
  SELECT c.id FROM chats c
   WHERE c.id = ANY($1)
     AND NOT EXISTS (SELECT FROM jobs j WHERE j.chat_id = c.id AND ${isUnfinished('j')})`;

/**
 * Releases chats whose last message is older than their assistant's retention. A chat with a turn in flight stays until the turn ends.
 * Processes that call this at the same moment take different chats.
 * @returns how many, and whether there may be more
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
