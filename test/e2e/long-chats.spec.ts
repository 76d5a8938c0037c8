import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '#database/data-source.js';
import { beginErasure } from '#erasure/erase.js';
import { claim } from '#jobs/claim.js';
import { clear } from '#erasure/clear.js';
import { queueDepth } from '#jobs/depth.js';
import { endOrphans } from '#jobs/ledger.js';
import { reachedLimit } from '#limits/user-limits.js';
import { countUnfinished } from '#limits/unfinished-turns.js';
import { abandonedJobs, endExpired, endSpent, anyOverdue, purgeKeys } from '#jobs/reconcile.js';
import { releaseExpired } from '#erasure/release.js';
import { MOST_MESSAGES, MOST_MESSAGES_READ } from '#jobs/timings.js';
import { encodeCursor } from '../../apps/api/src/http/cursor.js';
import { lengthen } from '../support/long-chat.js';
import { Client } from '../support/client.js';
import { type RowsRead, rowsRead } from '../support/rows-read.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

/** The numbers of turns in the chats. */
const SHORT = 150;
const LONG = 10_000;

/** In any table, rows that the workers' regular statements may add. */
const NOISE = 100;

describe('a chat of twenty thousand messages', () => {
  let stack: Stack;
  const chats = { short: '', long: '' };
  beforeAll(async () => {
    stack = await startStack();
    chats.short = (await stack.as('short').chat()).id;
    chats.long = (await stack.as('long').chat()).id;
    // Only the service may read, and its plans must not change meanwhile.
    for (const table of TABLES) await stack.database.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
    await lengthen(stack.database, chats.short, SHORT);
    // PostgreSQL has last seen the tables while they were small. At the end there is an ANALYZE.
    await lengthen(stack.database, chats.long, LONG, false);
  });
  afterAll(() => stack.stop());

  const TABLES = ['chats', 'messages', 'jobs', 'idempotency_keys', 'model_calls', 'callers'];
  const read = (work: () => Promise<unknown>): Promise<RowsRead> => rowsRead(stack.database, TABLES, work);
  const page = async (user: keyof typeof chats, query: string): Promise<any> => {
    const { status, body } = await stack.as(user).get(`/api/v1/chats/${chats[user]}/messages?${query}`);
    expect(status).toBe(200);
    return body;
  };
  const expectNoMore = (long: RowsRead, short: RowsRead): void => {
    for (const table of TABLES) {
      const [much, little] = [long[table] ?? 0, short[table] ?? 0];
      if (much > little + NOISE) throw new Error(`${table}: ${much} rows were read, of a short chat ${little}.`);
    }
    expect(long['messages']).toBeGreaterThan(0);
  };

  it('is paged at any depth, in both directions, by reading only the page’s rows', async () => {
    const list = `messages ${chats.long}`;
    const top = await read(() => page('short', 'limit=50'));
    for (const direction of ['before', 'after']) {
      for (const seq of ['100', String(LONG), String(2 * LONG - 100)]) {
        const seen = await read(async () => {
          const { data } = await page('long', `limit=50&${direction}=${encodeCursor(list, seq)}`);
          expect(data.map((message: any) => message.seq)).toHaveLength(50);
        });
        expectNoMore(seen, top);
      }
    }
  });

  it('takes a turn, a message, a read and a change at the price of a short one', async () => {
    const use = async (user: keyof typeof chats): Promise<void> => {
      const client = stack.as(user);
      const id = chats[user];
      const key = { 'idempotency-key': 'once' };
      const turn = await client.turn(id, 'and now?', key);
      expect(turn.status).toBe(200);
      expect((await client.turn(id, 'and now?', key)).headers.get('idempotent-replayed')).toBe('true');
      expect((await client.get(`/api/v1/jobs/${turn.body.job_id}`)).status).toBe(200);
      expect((await client.post(`/api/v1/chats/${id}/messages`, { content: 'by the way' })).status).toBe(201);
      expect((await client.post('/api/v1/assistants/support/chats')).status).toBe(200);
      expect((await client.get('/api/v1/chats')).status).toBe(200);
      expect((await client.patch(`/api/v1/chats/${id}`, { title: 'mine' })).status).toBe(200);
    };
    // Both chats are older than their windows, which the next turn makes. It reads all that a prompt may have, and a little more.
    const first = await read(async () => {
      for (const user of ['short', 'long'] as const) await stack.as(user).turn(chats[user], 'what was that?');
    });
    expect(first['messages']).toBeLessThan(2 * 2 * MOST_MESSAGES_READ + NOISE);
    const short = await read(() => use('short'));
    expect(short['messages']).toBeLessThan(2 * MOST_MESSAGES);
    expectNoMore(await read(() => use('long')), short);
    const sent = (await stack.model.calls('and now?')).map(({ messages }) => messages.length);
    expect(sent).toEqual([sent[0], sent[0]]);
  });

  it('is changed by a turn without a write to an index of chats', async () => {
    const updates = async (): Promise<{ all: number; heapOnly: number }> => {
      const { rows } = await stack.database.query(
        `SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS "heapOnly" FROM pg_stat_user_tables WHERE relname = 'chats'`,
      );
      return rows[0];
    };
    const before = await updates();
    await read(() => stack.as('long').turn(chats.long, 'and then?'));
    const after = await updates();
    expect([after.all - before.all, after.heapOnly - before.heapOnly]).toEqual([2, 2]);
  });

  /** The regular statements of all processes, and operators' lists, which find nothing here. */
  const lookAround = async (): Promise<void> => {
    const ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
    const source = await new DataSource(
      dataSourceOptions({ url: stack.databaseUrl, poolSize: 1, applicationName: 'rejoinder-test' }),
    ).initialize();
    const { manager } = source;

    try {
      const seen = await read(async () => {
        for (const look of [
          endSpent,
          endExpired,
          endOrphans,
          abandonedJobs,
          anyOverdue,
          purgeKeys,
          releaseExpired,
          clear,
        ]) {
          await look(manager);
        }
        await queueDepth(manager);
        await countUnfinished(manager, 10_000);
        await reachedLimit(manager, 'long', { turnsPerMinute: 60, unfinishedTurns: 10 });
        await claim(manager, { most: 8 });
        await claim(manager, { most: 1, order: 'oldest' });
        await beginErasure(manager, 'nobody');
        for (const query of [
          'limit=5',
          'limit=5&order=oldest',
          'status=running',
          'status=failed',
          'user=few&limit=5',
        ]) {
          expect((await ops.get(`/api/v1/admin/jobs?${query}`)).status).toBe(200);
        }
      });
      for (const table of TABLES) {
        if ((seen[table] ?? 0) > 3 * NOISE) throw new Error(`${seen[table]} rows of ${table} were read.`);
      }
    } finally {
      await source.destroy();
    }
  };

  it('and its jobs are not read for the workers’ regular statements, nor for operators’ lists', async () => {
    await lookAround();
    await stack.database.query('ANALYZE');
    await lookAround();
  });

  it('is one of ten thousand chats, whose list is paged at any depth by reading only the page’s rows', async () => {
    for (const [user, count] of [
      ['few', 60],
      ['many', 10_000],
    ] as const) {
      await stack.database.query(
        `INSERT INTO chats (id, user_id, assistant_slug, status, last_message_at)
         SELECT gen_random_uuid(), $1, 'support', 'closed', '2026-01-01Z'::timestamptz + n * interval '1 minute'
           FROM generate_series(1, $2::int) n`,
        [user, count],
      );
    }
    await stack.database.query(
      `UPDATE chats SET status = 'archived', assistant_slug = 'billing' WHERE user_id IN ('few', 'many') AND last_message_at < '2026-01-01 00:05Z'`,
    );
    const list = async (user: string, query: string, length = 50): Promise<void> => {
      const { status, body } = await stack.as(user).get(`/api/v1/chats?limit=50${query}`);
      expect([status, body.data.length]).toEqual([200, length]);
    };
    const middle = encodeCursor('chats many  ', '2026-01-04T12:00:00.000Z 01936d3c-6b2e-7c4a-9f3e-2f1d5a7b8c90');
    for (const isAnalyzed of [false, true]) {
      if (isAnalyzed) await stack.database.query('ANALYZE chats');
      const few = await read(() => list('few', ''));
      for (const query of ['', `&before=${middle}`, `&after=${middle}`]) {
        const { chats: read50 = 0 } = await read(() => list('many', query));
        expect(read50).toBeLessThanOrEqual((few['chats'] ?? 0) + NOISE);
      }
      const rare = await read(async () => {
        for (const query of ['&assistant=billing', '&status=archived', '&status=archived&assistant=billing']) {
          await list('many', query, 4);
        }
        await list('many', '&status=active', 0);
        expect((await stack.as('many').post('/api/v1/assistants/brief/chats')).status).toBe(404);
      });
      expect(rare['chats']).toBeLessThanOrEqual(NOISE);
    }
  });
});
