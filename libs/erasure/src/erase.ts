import type { EntityManager } from 'typeorm';
import type { Receipt } from '#database/entities/receipt.entity.js';
import { newId } from '#database/ids.js';
import { clear } from './clear.js';
import { afterRelease, release } from './release.js';
import { CLEAR_BATCH, RELEASE_BATCH } from '#jobs/timings.js';

/*
 * Erasing a user's data. The receipt is stored first, and names the user until the data is gone. So if the client leaves or the process
 * dies, a worker goes on. Data that the user makes after the request stays.
 */

const COLUMNS = `id, user_id AS "userId", begun_at AS "begunAt", ended_at AS "endedAt", chats, messages, jobs,
  idempotency_keys AS "idempotencyKeys"`;

const BEGIN = `
  INSERT INTO receipts (id, user_id)
  SELECT $2::uuid, $1::text
   WHERE EXISTS (SELECT FROM chats WHERE user_id = $1)
      OR EXISTS (SELECT FROM chats WHERE user_id IS NULL AND released_from = $1)
      OR EXISTS (SELECT FROM idempotency_keys WHERE user_id = $1)
      OR EXISTS (SELECT FROM model_calls WHERE user_id = $1)
      OR EXISTS (SELECT FROM receipts WHERE user_id = $1)
  ON CONFLICT (user_id) WHERE user_id IS NOT NULL DO UPDATE SET begun_at = now()
  RETURNING ${COLUMNS}`;

/**
 * Begins the erasure of a user's data, or goes on with one that has begun, which then covers data made since then, too.
 * @returns the receipt; for a user without data, a finished receipt that is not stored
 */
export async function beginErasure(manager: EntityManager, userId: string): Promise<Receipt> {
  const id = newId();
  const [begun] = await manager.query<Receipt[]>(BEGIN, [userId, id]);
  if (begun !== undefined) return begun;
  const now = new Date();
  return { id, userId: null, begunAt: now, endedAt: now, chats: '0', messages: '0', jobs: '0', idempotencyKeys: '0' };
}

/** Reads a receipt; undefined: there is none. */
export async function readReceipt(manager: EntityManager, id: string): Promise<Receipt | undefined> {
  const [receipt] = await manager.query<Receipt[]>(`SELECT ${COLUMNS} FROM receipts WHERE id = $1`, [id]);
  return receipt;
}

const OPEN = `SELECT ${COLUMNS} FROM receipts WHERE user_id IS NOT NULL ORDER BY begun_at LIMIT 10`;

/** The oldest receipts whose erasure is not finished. */
export function openReceipts(manager: EntityManager): Promise<Receipt[]> {
  return manager.query<Receipt[]>(OPEN);
}

const CHATS_OF = `
  SELECT c.id FROM chats c, receipts r WHERE r.id = $1 AND c.user_id = r.user_id AND c.created_at <= r.begun_at
   LIMIT ${RELEASE_BATCH} FOR UPDATE OF c SKIP LOCKED`;

const COUNT = `UPDATE receipts SET chats = chats + $2, messages = messages + $3, jobs = jobs + $4 WHERE id = $1`;

const FORGET_KEYS = `
  WITH chosen AS (
    SELECT k.user_id, k.key FROM idempotency_keys k, receipts r
     WHERE r.id = $1 AND k.user_id = r.user_id AND k.created_at <= r.begun_at
     LIMIT ${CLEAR_BATCH} FOR UPDATE OF k SKIP LOCKED
  ), gone AS (
    DELETE FROM idempotency_keys k USING chosen WHERE k.user_id = chosen.user_id AND k.key = chosen.key RETURNING k.key
  ), counted AS (
    UPDATE receipts SET idempotency_keys = idempotency_keys + (SELECT count(*) FROM gone)
     WHERE id = $1 AND EXISTS (SELECT FROM gone)
  )
  SELECT key FROM gone LIMIT 1`;

/** Keeps the figures of calls, without the user. */
const FORGET_CALLS = `
  WITH chosen AS (
    SELECT c.job_id, c.attempt, c.step FROM model_calls c, receipts r
     WHERE r.id = $1 AND c.user_id = r.user_id AND c.started_at <= r.begun_at
     LIMIT ${CLEAR_BATCH} FOR UPDATE OF c SKIP LOCKED
  )
  UPDATE model_calls c SET user_id = NULL FROM chosen
   WHERE c.job_id = chosen.job_id AND c.attempt = chosen.attempt AND c.step = chosen.step RETURNING c.attempt`;

/** A row of `callers` that still limits the user stays: deleting data must not give a used minute back. The row is removed later. */
const END = `
  WITH caller AS (
    DELETE FROM callers USING receipts r WHERE r.id = $1 AND callers.user_id = r.user_id AND callers.turns_until < now()
  ), session AS (
    DELETE FROM admin_sessions USING receipts r WHERE r.id = $1 AND admin_sessions.user_id = r.user_id
  ), ended AS (
    UPDATE receipts r SET user_id = NULL, ended_at = clock_timestamp()
     WHERE id = $1 AND user_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM chats c WHERE c.user_id = r.user_id AND c.created_at <= r.begun_at)
       AND NOT EXISTS (SELECT FROM chats c WHERE c.user_id IS NULL AND c.released_from = r.user_id)
       AND NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.user_id = r.user_id AND k.created_at <= r.begun_at)
       AND NOT EXISTS (SELECT FROM model_calls l WHERE l.user_id = r.user_id AND l.started_at <= r.begun_at)
    RETURNING id
  )
  SELECT id FROM ended`;

/** The result of a batch. `more`: there is more to do. `waits`: other sessions have locked the rest, or it is too young. `done`: all is deleted. */
export type Step = 'more' | 'waits' | 'done';

/**
 * Deletes a batch of the data of a receipt's user. Any number of processes may call this at once.
 *
 * Chats that were released less than `afterSeconds` ago are left to the request that released them.
 */
export async function eraseSome(manager: EntityManager, receipt: Receipt, afterSeconds = 0): Promise<Step> {
  const { id, userId } = receipt;
  if (userId === null) return 'done';
  if ((await manager.query<unknown[]>(FORGET_KEYS, [id])).length > 0) return 'more';
  if (await releaseSome(manager, id)) return 'more';
  if (await clear(manager, { userId, afterSeconds })) return 'more';
  const [, forgotten] = await manager.query<[unknown[], number]>(FORGET_CALLS, [id]);
  if (forgotten > 0) return 'more';
  if ((await manager.query<unknown[]>(END, [id])).length > 0) return 'done';
  const now = await readReceipt(manager, id);
  return now === undefined || now.endedAt !== null ? 'done' : 'waits';
}

async function releaseSome(manager: EntityManager, receiptId: string): Promise<boolean> {
  const released = await manager.transaction(async (within) => {
    const chats = await within.query<{ id: string }[]>(CHATS_OF, [receiptId]);
    if (chats.length === 0) return undefined;
    const released = await release(
      within,
      chats.map(({ id }) => id),
    );
    await within.query(COUNT, [receiptId, released.chats, released.messages, released.jobs]);
    return released;
  });
  if (released === undefined) return false;
  await afterRelease(manager, released);
  return true;
}
