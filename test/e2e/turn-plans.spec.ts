import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource, EntityManager } from 'typeorm';
import { newId } from '#database/ids.js';
import { acceptTurn } from '#jobs/accept.js';
import { cancel } from '#jobs/cancel.js';
import { claim } from '#jobs/claim.js';
import { NO_FIGURES } from '#jobs/ledger.js';
import { finish } from '#jobs/transitions.js';
import { type StatementsDatabase, startStatementsDatabase } from '../support/statements-database.js';

const [OLD_CHATS, JOBS_EACH, YOUNG_CHATS] = [20, 50, 3_000];

const REPLY = {
  content: 'hello',
  model: 'm',
  stopReason: 'end_turn',
  status: 'complete',
  stopDetails: null,
  steps: 0,
  lastText: 'hello',
  windowFromSeq: null,
  otherParts: null,
  contextTokens: null,
  leftOut: false,
} as const;

/** With such statistics, PostgreSQL takes a join for cheap that reads the chats in the order of their keys, from the oldest on. */
describe('where only the oldest chats have jobs, the statements of a turn', () => {
  let database: StatementsDatabase;
  let source: DataSource;
  beforeAll(async () => {
    database = await startStatementsDatabase(1);
    ({ source } = database);
    const chats = Array.from({ length: OLD_CHATS + YOUNG_CHATS }, () => newId());
    await source.query(
      `INSERT INTO chats (id, user_id, assistant_slug, status) SELECT id, id, 'a', 'active' FROM unnest($1::uuid[]) id`,
      [chats],
    );
    await source.query(
      `WITH message AS (
         INSERT INTO messages (id, chat_id, seq, role, content)
         SELECT gen_random_uuid(), id, n, 'user', 'hello' FROM unnest($1::uuid[]) id, generate_series(1, $2::int) n RETURNING id, chat_id
       )
       INSERT INTO jobs (id, type, status, chat_id, user_id, user_message_id, request_id, attempts_left, finished_at)
       SELECT gen_random_uuid(), 'assistant-reply', 'succeeded', chat_id, chat_id, id, 'r', 4, now() FROM message`,
      [chats.slice(0, OLD_CHATS), JOBS_EACH],
    );
    await source.query('ANALYZE');
  });
  afterAll(() => database?.stop());

  /** Rows of `chats` that the session has read: these figures also have what it read before, until PostgreSQL passes them on. */
  const readSoFar = async (manager: EntityManager): Promise<number> => {
    const [{ rows }] = await manager.query<[{ rows: number }]>(
      `SELECT (seq_tup_read + idx_tup_fetch)::int AS rows FROM pg_stat_xact_user_tables WHERE relname = 'chats'`,
    );
    return rows;
  };
  /** How many rows of `chats` the work reads. */
  const read = (work: (manager: EntityManager) => Promise<unknown>): Promise<number> =>
    source.transaction(async (inside) => {
      const before = await readSoFar(inside);
      expect(await work(inside)).toBeDefined();
      return (await readSoFar(inside)) - before;
    });
  /** Accepts a turn in the youngest chat of all. @returns what the statement reads */
  const accept = async (turn: { jobId: string; chatId: string; userId: string }): Promise<number> => {
    await source.query(`INSERT INTO chats (id, user_id, assistant_slug, status) VALUES ($1, $2, 'a', 'active')`, [
      turn.chatId,
      turn.userId,
    ]);
    const rest = { assistantSlug: undefined, content: 'hello', metadata: {}, requestId: 'r', requestKey: undefined };
    return read((manager) => acceptTurn(manager, { ...turn, ...rest }));
  };

  it('find each chat by its key', async () => {
    const [finished, canceled] = [
      { jobId: newId(), chatId: newId(), userId: newId() },
      { jobId: newId(), chatId: newId(), userId: newId() },
    ];
    const rows = {
      accept: Math.max(await accept(finished), await accept(canceled)),
      claim: await read((manager) => claim(manager, { most: 7 })),
      finish: await read((manager) => finish(manager, finished.jobId, 1, REPLY, NO_FIGURES)),
      cancel: await read((manager) => cancel(manager, canceled.jobId, canceled.userId)),
    };
    for (const [name, count] of Object.entries(rows)) if (count > 20) throw new Error(`${name} reads ${count} chats.`);
  });
});
