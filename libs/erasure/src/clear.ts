import type { EntityManager } from 'typeorm';
import { oneRow } from '#database/rows.js';
import { CLEAR_BATCH, CLEAR_CHATS } from '#jobs/timings.js';

/*
 * Deleting chats, second half: the rows of released chats (see release.ts) are deleted, a batch in each transaction. So their number does
 * not matter, and if a process dies, the next one goes on. Messages go from the newest to the oldest, and the chat's last number falls with
 * them, so it shows where to go on. A message's jobs go before it, each with its reply; a summary goes with the last message in it; an
 * idempotency key goes with its effect; the chat goes last.
 *
 * The ledger's entries stay, since bills rely on them. They no longer lead to a job. The id of the answer is removed, so they do not lead
 * to the provider's records of the call either.
 */

/** Selects the released chats to clear. */
export interface ClearOptions {
  readonly chatId?: string;
  /** Only chats that were this user's. */
  readonly userId?: string;
  /** Only chats that were released at least this long ago, in seconds. */
  readonly afterSeconds?: number;
}

const CHOOSE = `
  SELECT id, last_seq AS "lastSeq" FROM chats
   WHERE user_id IS NULL AND ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR released_from = $2)
     AND updated_at <= clock_timestamp() - make_interval(secs => $3)
   LIMIT ${CLEAR_CHATS} FOR UPDATE SKIP LOCKED`;

/** The messages of a batch: in each chat ($1) those above a number ($2). */
const MESSAGES = `
  SELECT m.id FROM unnest($1::uuid[], $2::int[]) AS part (chat_id, above)
   CROSS JOIN LATERAL (SELECT id FROM messages WHERE chat_id = part.chat_id AND seq > part.above LIMIT ${CLEAR_BATCH}) AS m`;

// Arrays, not joins: the planner overestimates the join and scans the tables.
const CLEAR_JOBS = `
  WITH job AS (
    SELECT j.id FROM (${MESSAGES}) AS message
     CROSS JOIN LATERAL (SELECT id FROM jobs WHERE user_message_id = message.id LIMIT ${CLEAR_BATCH}) AS j
     LIMIT ${CLEAR_BATCH}
  ), key AS (
    DELETE FROM idempotency_keys WHERE job_id = ANY (ARRAY(SELECT id FROM job))
  ), call AS (
    UPDATE model_calls SET job_id = gen_random_uuid(), message_id = NULL, ended_at = coalesce(ended_at, clock_timestamp()),
           estimated = estimated OR outcome = 'running',
           outcome = CASE WHEN outcome = 'running' THEN 'canceled' ELSE outcome END
     WHERE job_id = ANY (ARRAY(SELECT id FROM job))
  ), reply AS (
    DELETE FROM messages WHERE job_id = ANY (ARRAY(SELECT id FROM job))
  ), gone AS (
    DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM job)) RETURNING id
  )
  SELECT count(*)::int AS jobs FROM gone`;

const CLEAR_MESSAGES = `
  WITH message AS (${MESSAGES}
  ), key AS (
    DELETE FROM idempotency_keys WHERE message_id = ANY (ARRAY(SELECT id FROM message))
  ), gone AS (
    DELETE FROM messages WHERE id = ANY (ARRAY(SELECT id FROM message))
  ), summary AS (
    DELETE FROM summaries USING unnest($1::uuid[], $2::int[]) AS part (chat_id, above)
     WHERE summaries.chat_id = part.chat_id AND summaries.until_seq > part.above
  )
  UPDATE chats SET last_seq = part.above
    FROM unnest($1::uuid[], $2::int[]) AS part (chat_id, above) WHERE chats.id = part.chat_id`;

const CLEAR_CHATS_THEMSELVES = `DELETE FROM chats WHERE id = ANY ($1)`;

/**
 * Clears a batch of released chats. Processes that clear at the same moment take different chats. So if a process finds none to take,
 * another may still be at work.
 * @returns whether there was something to do
 */
export function clear(manager: EntityManager, options: ClearOptions = {}): Promise<boolean> {
  const { chatId = null, userId = null, afterSeconds = 0 } = options;
  return manager.transaction(async (within) => {
    const chats = await within.query<{ id: string; lastSeq: number }[]>(CHOOSE, [chatId, userId, afterSeconds]);
    if (chats.length === 0) return false;
    const parts: { id: string; above: number }[] = [];
    let room = CLEAR_BATCH;
    for (const { id, lastSeq } of chats) {
      if (room === 0) break;
      const above = Math.max(0, lastSeq - room);
      room -= lastSeq - above;
      parts.push({ id, above });
    }
    const batch = [parts.map(({ id }) => id), parts.map(({ above }) => above)];
    const { jobs } = oneRow(await within.query<{ jobs: number }[]>(CLEAR_JOBS, batch));
    // There may be more jobs that name these messages.
    if (jobs === CLEAR_BATCH) return true;
    await within.query(CLEAR_MESSAGES, batch);
    await within.query(CLEAR_CHATS_THEMSELVES, [parts.filter(({ above }) => above === 0).map(({ id }) => id)]);
    return true;
  });
}

/** Whether rows of a released chat are left. */
export async function isUncleared(manager: EntityManager, chatId: string): Promise<boolean> {
  const rows = await manager.query<unknown[]>('SELECT FROM chats WHERE id = $1 AND user_id IS NULL', [chatId]);
  return rows.length > 0;
}
