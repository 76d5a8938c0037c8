import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { encodeCursor } from '../../apps/api/src/http/cursor.js';
import { lengthen } from '../support/long-chat.js';
import { type RowsRead, rowsRead } from '../support/rows-read.js';
import { type Stack, startStack } from '../support/stack.js';

/** Turns that the chats have behind them. */
const SHORT = 150;
const LONG = 10_000;

/** Rows that the workers' looks for something to do may add, in any table. */
const NOISE = 100;

describe('a chat of twenty thousand messages', () => {
  let stack: Stack;
  const chats = { short: '', long: '' };
  beforeAll(async () => {
    stack = await startStack();
    chats.short = (await stack.as('short').chat()).id;
    chats.long = (await stack.as('long').chat()).id;
    // Nobody but the service is to read; and none of it by a plan made for other numbers.
    for (const table of TABLES) await stack.database.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
    await lengthen(stack.database, chats.short, SHORT);
    await lengthen(stack.database, chats.long, LONG);
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

  it('is paged at any depth, in both directions, by reading what is on the page', async () => {
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

  it('takes a turn, a message, a look and a change at the price of a short one', async () => {
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
    const short = await read(() => use('short'));
    expectNoMore(await read(() => use('long')), short);
    const sent = (await stack.model.calls('and now?')).map(({ messages }) => messages.length);
    expect(sent).toEqual([sent[0], sent[0]]);
  });

  it('is one of ten thousand chats, whose list is paged at any depth by reading what is on the page', async () => {
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
    await stack.database.query('ANALYZE chats');
    const list = async (user: string, query: string): Promise<void> => {
      const { status, body } = await stack.as(user).get(`/api/v1/chats?limit=50${query}`);
      expect([status, body.data.length]).toEqual([200, 50]);
    };
    const few = await read(() => list('few', ''));
    const middle = encodeCursor('chats many  ', '2026-01-04T12:00:00.000Z 01936d3c-6b2e-7c4a-9f3e-2f1d5a7b8c90');
    for (const query of ['', `&before=${middle}`, `&after=${middle}`]) {
      const { chats: read50 = 0 } = await read(() => list('many', query));
      expect(read50).toBeLessThanOrEqual((few['chats'] ?? 0) + NOISE);
    }
  });
});
