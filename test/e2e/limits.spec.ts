import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '#database/data-source.js';
import { newId } from '#database/ids.js';
import { acceptReply, acceptTurn } from '#jobs/accept.js';
import { NO_LIMITS, purgeCallers, reachedLimit, type UserLimits } from '#limits/user-limits.js';
import type { Client } from '../support/client.js';
import { freshDatabase, type TestDatabase } from '../support/database.js';
import { type OpenedStream, openStream } from '../support/events.js';
import { manyChats } from '../support/many-chats.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** Calls the statements themselves, all at once, because no service would send them so close together. */
describe('of a user’s turns that come at one moment, to any process', () => {
  let copy: TestDatabase;
  let source: DataSource;
  let database: pg.Pool;
  beforeAll(async () => {
    copy = await freshDatabase();
    database = new pg.Pool({ connectionString: copy.url, max: 2 });
    source = await new DataSource(
      dataSourceOptions({ url: copy.url, poolSize: 20, applicationName: 'test' }),
    ).initialize();
  });
  afterAll(async () => {
    await source.destroy();
    await database.end();
    await copy.drop();
  });

  const accept = (userId: string, chatId: string, limits: UserLimits) =>
    acceptTurn(
      source.manager,
      {
        jobId: newId(),
        chatId,
        userId,
        assistantSlug: undefined,
        content: 'hello',
        metadata: {},
        requestId: 'r',
        requestKey: undefined,
      },
      limits,
    );
  const acceptedOf = async (user: string, limits: UserLimits): Promise<number> => {
    const chats = await manyChats(database, user, 30);
    const accepted = await Promise.all(chats.map((chat) => accept(user, chat, limits)));
    return accepted.filter((turn) => turn !== undefined).length;
  };

  it('a minute’s turns are accepted, and no more', async () => {
    expect(await acceptedOf('quick', { ...NO_LIMITS, turnsPerMinute: 7 })).toBe(7);
    expect(await reachedLimit(source.manager, 'quick', { ...NO_LIMITS, turnsPerMinute: 7 })).toMatchObject({
      limit: 'turns',
    });
    expect(await reachedLimit(source.manager, 'another', { ...NO_LIMITS, turnsPerMinute: 7 })).toBeUndefined();
  });

  it('as many are accepted as may be under way, and no more', async () => {
    expect(await acceptedOf('busy', { ...NO_LIMITS, unfinishedTurns: 4 })).toBe(4);
    expect(await reachedLimit(source.manager, 'busy', { ...NO_LIMITS, unfinishedTurns: 4 })).toMatchObject({
      limit: 'unfinished',
    });
  });

  it('each gets a round of its own; another user’s turns come next to the first of them', async () => {
    expect(await acceptedOf('flood', NO_LIMITS)).toBe(30);
    const { rows } = await database.query(`SELECT round FROM jobs WHERE user_id = 'flood' ORDER BY round`);
    expect(new Set(rows.map(({ round }) => round as number)).size).toBe(30);
    await acceptedOf('guest', { ...NO_LIMITS, unfinishedTurns: 1 });
    const guest = await database.query(`SELECT round FROM jobs WHERE user_id = 'guest'`);
    expect(guest.rows).toEqual([
      { round: (await database.query(`SELECT min(round) AS round FROM jobs`)).rows[0].round },
    ]);
  });

  it('one that is refused for other reasons does not count', async () => {
    const limits = { ...NO_LIMITS, turnsPerMinute: 3, unfinishedTurns: 2 };
    const [first = '', second = ''] = await manyChats(database, 'thrifty', 2);
    expect(await accept('thrifty', first, limits)).toMatchObject({ allowance: { turns: 2 } });
    for (let n = 0; n < 5; n++) expect(await accept('thrifty', first, limits)).toBeUndefined(); // in progress
    for (let n = 0; n < 5; n++) expect(await accept('thrifty', newId(), limits)).toBeUndefined(); // unknown
    const reply = { jobId: newId(), userId: 'thrifty', requestId: 'r', requestKey: undefined };
    // There is no message to answer.
    for (let n = 0; n < 5; n++) {
      expect(await acceptReply(source.manager, { ...reply, chatId: second }, limits)).toBeUndefined();
    }
    expect(await accept('thrifty', second, limits)).toMatchObject({ allowance: { turns: 1 } });
  });

  it('a user’s row is removed once it is of no use', async () => {
    await database.query(`UPDATE callers SET turns_until = now() - interval '1 s' WHERE user_id = 'quick'`);
    await purgeCallers(source.manager, 1_000);
    const { rows } = await database.query(`SELECT user_id FROM callers WHERE user_id = 'quick'`);
    expect(rows).toEqual([]);
  });
});

describe('the limits of one user', () => {
  let stack: Stack;
  let other: App;
  beforeAll(async () => {
    stack = await startStack({
      env: {
        USER_TURNS_PER_MINUTE: '5',
        USER_UNFINISHED_TURNS: '3',
        USER_OPEN_STREAMS: '2',
        USER_TOKENS_PER_DAY: '5000',
        UNFINISHED_TURNS: '20',
      },
    });
    other = await stack.startApi();
    await stack.model.script('hangs', { pieces: ['Hm. '], stall_after: 1 });
  });
  afterAll(() => stack.stop());

  const turnIn = (user: Client, chat: string, text: string, headers: Record<string, string> = {}) =>
    user.turn(chat, text, { prefer: 'respond-async', ...headers });
  const storedBy = async (user: string): Promise<number> => {
    const { rows } = await stack.database.query(
      `SELECT count(*)::int AS n FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.user_id = $1 AND m.role = 'user'`,
      [user],
    );
    return rows[0].n as number;
  };

  it('turns per minute: shown with each answer, counted over all processes, then 429 without effect', async () => {
    const [here, there] = [stack.as('ana'), stack.as('ana', other)];
    const { id } = await here.chat();
    const left: string[] = [];
    const key = { 'idempotency-key': 'the first' };
    for (let n = 0; n < 5; n++) {
      const answer = await (n % 2 === 0 ? here : there).turn(id, `turn ${n}`, n === 0 ? key : {});
      expect(answer.status).toBe(200);
      expect(answer.headers.get('ratelimit-policy')).toBe('"turns";q=5;w=60');
      left.push(/^"turns";r=(\d);t=\d+$/.exec(answer.headers.get('ratelimit') ?? '')?.[1] ?? 'none');
    }
    expect(left).toEqual(['4', '3', '2', '1', '0']);
    const fresh = { 'idempotency-key': 'refused' };
    const refused = await there.turn(id, 'one too many', fresh);
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
    const wait = Number(refused.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(12);
    expect(refused.headers.get('ratelimit')).toBe(`"turns";r=0;t=${wait}`);
    expect(await storedBy('ana')).toBe(5);
    expect((await here.post('/api/v1/jobs/assistant-reply', { chat_id: id })).status).toBe(409);
    // A stored message without a reply, and a new chat, also count in the minute.
    const { rows } = await stack.database.query(`SELECT turns_until FROM callers WHERE user_id = 'ana'`);
    expect((await there.post('/api/v1/assistants/billing/chats')).status).toBe(429);
    expect((await there.post('/api/v1/assistants/support/chats')).status).toBe(200);
    const message = { content: 'and then' };
    const stored = { 'idempotency-key': 'a message' };
    expect((await here.post(`/api/v1/chats/${id}/messages`, message, stored)).status).toBe(429);
    expect(await storedBy('ana')).toBe(5);
    await stack.database.query(`UPDATE callers SET turns_until = turns_until - interval '12 s' WHERE user_id = 'ana'`);
    const twins = await Promise.all([1, 2, 3].map(() => here.post(`/api/v1/chats/${id}/messages`, message, stored)));
    expect(twins.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect((await stack.database.query(`SELECT turns_until FROM callers WHERE user_id = 'ana'`)).rows).toEqual(rows);
    expect((await here.post('/api/v1/jobs/assistant-reply', { chat_id: id })).status).toBe(429);
    // A replay gets its answer again, and other users are not affected.
    expect((await here.turn(id, 'turn 0', key)).headers.get('idempotent-replayed')).toBe('true');
    expect((await stack.as('ben').turn((await stack.as('ben').chat()).id, 'hello')).status).toBe(200);
    // A moment later there is room for one turn. The refused request has left no key.
    await stack.database.query(`UPDATE callers SET turns_until = turns_until - interval '13 s' WHERE user_id = 'ana'`);
    expect((await here.turn(id, 'one too many', fresh)).status).toBe(200);
  });

  it('turns in progress, in all chats together', async () => {
    const cid = stack.as('cid');
    const chats = await manyChats(stack.database, 'cid', 4);
    const jobs: string[] = [];
    for (const chat of chats.slice(0, 3)) jobs.push((await turnIn(cid, chat, 'hangs')).body.id as string);
    for (let n = 0; n < 4; n++) {
      const refused = await turnIn(cid, chats[3] ?? '', 'another');
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2']);
      expect(refused.headers.get('ratelimit')).toBe('"unfinished";r=0;t=2');
      expect(refused.headers.get('ratelimit-policy')).toBe('"unfinished";q=3;qu="concurrent-requests"');
    }
    await cid.patch(`/api/v1/jobs/${jobs[0]}`, { status: 'canceled' });
    // The refusals took nothing of the minute: of five turns three are used.
    const accepted = await turnIn(cid, chats[3] ?? '', 'another');
    expect([accepted.status, accepted.headers.get('ratelimit')?.slice(0, 11)]).toEqual([202, '"turns";r=1']);
    for (const id of jobs.slice(1)) await cid.patch(`/api/v1/jobs/${id}`, { status: 'canceled' });
  });

  it('open streams, over all processes: those of a dead process do not count any more', async () => {
    const dan = stack.as('dan');
    const [first = '', second = ''] = await manyChats(stack.database, 'dan', 2);
    const { id } = (await turnIn(dan, first, 'hangs')).body as { id: string };
    const path = `/api/v1/jobs/${id}/events`;
    const here = await openStream(stack.api.url, tokenFor('dan'), path);
    await openStream(other.url, tokenFor('dan'), path);
    for (const app of [stack.api, other]) {
      const refused = await stack.as('dan', app).get(path);
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
      expect(refused.headers.get('ratelimit')).toBe('"streams";r=0;t=1');
    }
    // A turn whose stream cannot be opened is not accepted.
    const streamed = await turnIn(dan, second, 'another', { accept: 'text/event-stream' });
    expect([streamed.status, await storedBy('dan')]).toEqual([429, 1]);
    here.close();
    const reopen = (): Promise<OpenedStream | false> => openStream(other.url, tokenFor('dan'), path).catch(() => false);
    const again = await until(reopen, 'a free place');
    await other.kill();
    // As if half a minute had passed.
    await stack.database.query(
      `UPDATE stream_holders SET alive_until = now()
        WHERE process IN (SELECT process FROM open_streams WHERE user_id = 'dan' AND streams = 2)`,
    );
    const last = await openStream(stack.api.url, tokenFor('dan'), path);
    expect(last.status).toBe(200);
    for (const stream of [again, last]) stream.close();
    await dan.patch(`/api/v1/jobs/${id}`, { status: 'canceled' });
    other = await stack.startApi();
  });

  it('open streams, even after a crash of the database has emptied the count', async () => {
    const gil = stack.as('gil');
    const [chat = ''] = await manyChats(stack.database, 'gil', 1);
    const { id } = (await turnIn(gil, chat, 'hangs')).body as { id: string };
    const stream = await openStream(stack.api.url, tokenFor('gil'), `/api/v1/jobs/${id}/events`);
    await stack.database.query('TRUNCATE open_streams, stream_holders');
    await until(async () => {
      const { rows } = await stack.database.query(`SELECT streams FROM open_streams WHERE user_id = 'gil'`);
      return rows[0]?.streams === 1;
    }, 'the next sign of life');
    stream.close();
    await gil.patch(`/api/v1/jobs/${id}`, { status: 'canceled' });
  });

  it('tokens a day, until midnight (UTC)', async () => {
    const eva = stack.as('eva');
    const { id } = await eva.chat();
    expect((await eva.turn(id, 'hello')).status).toBe(200);
    await stack.database.query(
      `UPDATE model_calls SET input_tokens = 4000, output_tokens = 1000 WHERE job_id IN (SELECT id FROM jobs WHERE user_id = 'eva')`,
    );
    const refused = await eva.turn(id, 'once more');
    expect(refused.status).toBe(429);
    const untilMidnight = 86_400 - (Math.floor(Date.now() / 1_000) % 86_400);
    expect(Math.abs(Number(refused.headers.get('retry-after')) - untilMidnight)).toBeLessThan(30);
    expect(refused.headers.get('ratelimit-policy')).toBe('"tokens";q=5000;qu="tokens";w=86400');
    await stack.database.query(
      `UPDATE model_calls SET started_at = now() - interval '1 day' WHERE job_id IN (SELECT id FROM jobs WHERE user_id = 'eva')`,
    );
    expect((await eva.turn(id, 'once more')).status).toBe(200);
  });

  it('and the limit of all users’ turns: beyond it 503, while accepted turns are answered', async () => {
    const users = Array.from({ length: 20 }, (_, n) => `many-${n}`);
    const jobs = await Promise.all(
      users.map(async (user) => {
        const { id } = await stack.as(user).chat();
        // A job that has just ended may count for a second more.
        const job = await until(async () => {
          const { status, body } = await turnIn(stack.as(user), id, 'hangs', { 'idempotency-key': 'mine' });
          return status === 202 && (body.id as string);
        }, 'a place');
        return { user, chat: id, job };
      }),
    );
    const fay = stack.as('fay');
    const { id } = await fay.chat();
    const refused = await turnIn(fay, id, 'hello');
    expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([503, 'unavailable', '5']);
    // Through another process, which has accepted none of them.
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // its own count is valid for so long
    expect((await turnIn(stack.as('fay', other), id, 'hello')).status).toBe(503);
    const [first] = jobs;
    const replayed = await turnIn(stack.as(first?.user ?? ''), first?.chat ?? '', 'hangs', {
      'idempotency-key': 'mine',
    });
    expect([replayed.status, replayed.body.id]).toEqual([202, first?.job]);
    await Promise.all(jobs.map(({ user, job }) => stack.as(user).patch(`/api/v1/jobs/${job}`, { status: 'canceled' })));
    await until(async () => (await turnIn(fay, id, 'hello')).status === 202, 'room for one more', 5_000);
  });
});
