import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack } from '../support/stack.js';

describe('pages of messages', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  const fill = async (user: string, count: number): Promise<{ path: string; id: string }> => {
    const client = stack.as(user);
    const { id } = await client.chat();
    for (let n = 2; n <= count; n++) await client.post(`/api/v1/chats/${id}/messages`, { content: `message ${n}` });
    return { id, path: `/api/v1/chats/${id}/messages` };
  };

  it('are chronological, and `before` leads to the beginning without a gap or a repeat', async () => {
    const ana = stack.as('ana');
    const { path } = await fill('ana', 23);
    const seen: number[] = [];
    let next: string | undefined = `${path}?limit=5`;
    while (next !== undefined) {
      const page: any = await ana.get(next);
      const seqs = page.body.data.map((message: any) => message.seq);
      expect(seqs).toEqual([...seqs].sort((a: number, b: number) => a - b));
      seen.unshift(...seqs);
      const link = /<([^<>]+)>; rel="prev"/.exec(page.headers.get('link') ?? '')?.[1];
      next = link && page.leads(link);
      expect(page.body.has_more).toBe(next !== undefined);
      expect(page.body.before === null).toBe(next === undefined);
    }
    expect(seen).toEqual(Array.from({ length: 23 }, (_, index) => index + 1));
  });

  it('of very long messages are shorter than requested, in both directions, and lead to all of them', async () => {
    const lea = stack.as('lea');
    const { path, id } = await fill('lea', 1);
    await stack.database.query(
      `INSERT INTO messages (id, chat_id, seq, role, content)
       SELECT gen_random_uuid(), $1, n, 'user', repeat('😀', CASE n WHEN 20 THEN 300000 ELSE 32000 END) FROM generate_series(2, 20) n`,
      [id],
    );
    await stack.database.query('UPDATE chats SET last_seq = 20 WHERE id = $1', [id]);
    const seen: number[] = [];
    let page = await lea.get(`${path}?limit=100`);
    const take = (): void => {
      expect(Buffer.byteLength(JSON.stringify(page.body))).toBeLessThan(1_300_000);
      seen.push(...page.body.data.map((message: any) => message.seq));
    };
    take();
    while (page.body.has_more) {
      page = await lea.get(`${path}?limit=100&before=${page.body.before}`);
      take();
    }
    do {
      page = await lea.get(`${path}?limit=100&after=${page.body.after}`);
      take();
    } while (page.body.has_more);
    expect([...new Set(seen)].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  });

  it('stay exact while messages arrive', async () => {
    const ben = stack.as('ben');
    const { id, path } = await fill('ben', 12);
    const newest = (await ben.get(`${path}?limit=4`)).body;
    expect(newest.data.map((message: any) => message.seq)).toEqual([9, 10, 11, 12]);
    const writer = (async () => {
      for (let n = 0; n < 15; n++) await ben.post(`/api/v1/chats/${id}/messages`, { content: `late ${n}` });
    })();
    let { before } = newest;
    const older: number[] = [];
    while (before !== null) {
      const { body } = await ben.get(`${path}?limit=4&before=${before}`);
      older.unshift(...body.data.map((message: any) => message.seq));
      ({ before } = body);
    }
    await writer;
    expect(older).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const since = (await ben.get(`${path}?limit=100&after=${newest.after}`)).body;
    expect(since.data.map((message: any) => message.seq)).toEqual(Array.from({ length: 15 }, (_, n) => n + 13));
  });

  it('`after` follows a chat: an empty page gives a cursor for later messages', async () => {
    const eva = stack.as('eva');
    const { id, path } = await fill('eva', 3);
    const { after } = (await eva.get(path)).body;
    const empty = (await eva.get(`${path}?after=${after}`)).body;
    expect(empty).toMatchObject({ data: [], has_more: false, after });
    await eva.turn(id, 'news');
    const news = await eva.get(`${path}?after=${empty.after}&limit=1`);
    expect(news.body.data.map((message: any) => message.seq)).toEqual([4]);
    expect(news.body.has_more).toBe(true);
    const next = /<([^<>]+)>; rel="next"/.exec(news.headers.get('link') ?? '')?.[1];
    expect((await eva.get(news.leads(next))).body.data.map((message: any) => message.seq)).toEqual([5]);
  });

  it('number a chat’s messages without a gap, however many write at once', async () => {
    const kim = stack.as('kim');
    const { id, path } = await fill('kim', 1);
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        n % 4 === 0 ? kim.turn(id, `turn ${n}`) : kim.post(`/api/v1/chats/${id}/messages`, { content: `message ${n}` }),
      ),
    );
    for (const { status, body } of answers) {
      expect([200, 201, 409]).toContain(status);
      if (status === 409) expect(body.code).toBe('turn_in_progress');
    }
    const { body } = await kim.get(`${path}?limit=100`);
    expect(body.data.map((message: any) => message.seq)).toEqual(
      body.data.map((_: unknown, index: number) => index + 1),
    );
    const moments = body.data.map((message: any) => message.created_at);
    expect(moments).toEqual([...moments].sort());
  });
});
