import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import { Pace } from '../support/pace.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

const ENDLESS = { pieces: Array.from({ length: 2_000 }, (_, n) => `piece ${n} `), piece_delay_ms: 10 };
const NOBODYS = '0199a0de-0000-7000-8000-000000000000';

/** A user id as identity providers make them, and worse. */
const ODD = 'auth0|Ñandú/😀?#%41&é';
const OPERATOR = /operator=[\w-]{11}/;

describe('an operator, for a user whose token they do not have', () => {
  let stack: Stack;
  let ops: Client;
  beforeAll(async () => {
    stack = await startStack({ env: { USER_OPEN_STREAMS: '1' } });
    ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
    await stack.model.script('an endless story', ENDLESS);
  });
  afterAll(() => stack.stop());

  const log = (): string => stack.api.output();
  /** The API's log lines that match, once there are `count` of them. */
  const logged = (what: RegExp, count = 1): Promise<string[]> =>
    until(async () => {
      const found = log().match(new RegExp(`${what.source} ${OPERATOR.source}`, 'g')) ?? [];
      return found.length >= count && found;
    }, `${count} of ${what.source} in the log`);
  const user = (name: string): string => `/api/v1/admin/users/${encodeURIComponent(name)}`;
  const erase = (name: string, prefer = 'wait=20') => ops.request('DELETE', user(name), { headers: { prefer } });
  const cancel = (job: string) => ops.patch(`/api/v1/admin/jobs/${job}`, { status: 'canceled' });

  describe('cancels a job', () => {
    it('that runs: the call ends within a second, and the user keeps the text so far', async () => {
      const ana = stack.as('ana');
      const chat = (await ana.chat()).id;
      const job = await ana.turnAsync(chat, 'an endless story');
      const draft = async () => (await stack.database.query('SELECT draft FROM jobs WHERE id = $1', [job.id])).rows[0];
      await until(async () => (await draft())?.draft !== '', 'some text');
      const waiting = ana.get(`/api/v1/jobs/${job.id}`, { headers: { prefer: 'wait=20' } });
      const pace = await Pace.watch();
      const asked = Date.now();
      const canceled = await cancel(job.id);
      expect(canceled.body).toMatchObject({ status: 'canceled', user_id: 'ana', why: { code: 'canceled' } });
      const [call] = await ledgerOf(stack, job.id);
      expect(call).toMatchObject({ outcome: 'canceled', estimated: true });
      expect((call?.ended_at?.getTime() ?? Infinity) - asked).toBeLessThan(pace.bound(1_000));
      const { body } = await waiting;
      expect(body).toMatchObject({
        status: 'canceled',
        assistant_message: { status: 'incomplete', stop_reason: 'canceled' },
      });
      expect(body.assistant_message.content).toMatch(/^piece 0 piece 1 /);
      await logged(new RegExp(`an operator canceled the job job_id=${job.id}`));
      // A second cancel changes nothing.
      expect((await cancel(job.id)).status).toBe(200);
    });

    it('that waits, and none that has ended or does not exist', async () => {
      const abe = stack.as('abe');
      const chat = (await abe.chat()).id;
      const done = (await abe.turn(chat, 'hello')).body.job_id;
      const late = await cancel(done as string);
      expect([late.status, late.body.code]).toEqual([409, 'invalid_transition']);
      expect((await cancel(NOBODYS)).body.message).toBe('There is no such job.');
      await ops.patch('/api/v1/admin/dispatch', { paused: true });
      const waits = await abe.turnAsync(chat, 'is anybody there?');
      const wrong = await ops.patch(
        `/api/v1/admin/jobs/${waits.id}`,
        { status: 'canceled' },
        { 'if-match': '"another"' },
      );
      expect(wrong.status).toBe(412);
      expect((await cancel(waits.id)).body).toMatchObject({ status: 'canceled', attempts: 0 });
      await ops.patch('/api/v1/admin/dispatch', { paused: false });
      expect((await abe.turn(chat, 'and now?')).status).toBe(200);
    });
  });

  describe('closes chats', () => {
    it('found by their user, without any text of the user', async () => {
      const bob = stack.as(ODD);
      const chats = [await bob.chat(), await bob.chat('billing')].map(({ id }) => id);
      const [first = '', second = ''] = chats;
      await bob.patch(`/api/v1/chats/${first}`, { title: 'canary-title', metadata: { canary: 'canary-value' } });
      await bob.turn(first, 'canary-question');
      const list = (query: string) => ops.get(`/api/v1/admin/chats?user=${encodeURIComponent(ODD)}${query}`);
      const page = (await list('')).body;
      expect(page.data).toMatchObject([
        { id: first, user_id: ODD, assistant: 'support', status: 'active', messages: 3, unfinished_job_id: null },
        { id: second, messages: 1 },
      ]);
      const { body } = await list('&limit=1');
      expect((await list(`&limit=1&before=${body.before}`)).body.data).toEqual([page.data[1]]);
      expect((await list('&assistant=billing')).body.data).toEqual([page.data[1]]);
      expect((await ops.get('/api/v1/admin/chats?user=somebody-else')).body.data).toEqual([]);
      const wrong = await ops.get('/api/v1/admin/chats?assistant=billing');
      expect(wrong.body.details).toMatchObject([{ field: 'user' }]);
      expect(JSON.stringify([page, (await ops.get(`/api/v1/admin/chats/${first}`)).body])).not.toContain('canary');
    });

    it('after which the user can write no more in them', async () => {
      const cat = stack.as('cat');
      const chat = (await cat.chat()).id;
      const at = `/api/v1/admin/chats/${chat.toUpperCase()}`;
      const seen = await ops.get(at);
      const etag = seen.headers.get('etag') ?? '';
      expect((await ops.patch(at, { status: 'archived' }, { 'if-match': '"another"' })).status).toBe(412);
      const archived = await ops.patch(at, { status: 'archived' }, { 'if-match': etag });
      expect(archived.body).toMatchObject({ id: chat, status: 'archived', user_id: 'cat' });
      expect((await ops.get(at)).headers.get('etag')).toBe(archived.headers.get('etag'));
      expect((await cat.turn(chat, 'hello?')).body.code).toBe('chat_not_active');
      expect((await ops.patch(at, { status: 'closed' })).body.status).toBe('closed');
      expect((await cat.patch(`/api/v1/chats/${chat}`, { status: 'active' })).status).toBe(409);
      expect((await ops.patch(at, { status: 'closed' })).status).toBe(200);
      expect((await ops.patch(at, { status: 'active' })).body.code).toBe('invalid_transition');
      for (const body of [{}, { status: 'gone' }, { title: 'mine' }]) {
        expect((await ops.patch(at, body)).status).toBe(422);
      }
      const lines = await logged(new RegExp(`an operator set the chat to \\w+ chat_id=${chat}`), 2);
      expect(lines.map((line) => line.split(' ')[6])).toEqual(['archived', 'closed']);
    });
  });

  describe('exports data', () => {
    it('as the user does, line by line, and the log says who exported whose data', async () => {
      const dan = stack.as(ODD);
      await dan.turn((await dan.chat()).id, 'canary-question');
      const lines = async (client: Client, path: string) => {
        const { status, headers, body } = await client.get<string>(path);
        expect([status, headers.get('content-type')]).toEqual([200, 'application/jsonl; charset=utf-8']);
        return body
          .split('\n')
          .slice(0, -1)
          .map((line) => ({ ...JSON.parse(line), exported_at: null }));
      };
      const own = await lines(dan, '/api/v1/me/export');
      expect(own.length).toBeGreaterThan(4);
      expect(await lines(ops, `${user(ODD)}/export`)).toEqual(own);
      expect(await lines(ops, `${user('nobody-yet')}/export`)).toMatchObject([{ type: 'export' }, { chats: 0 }]);
      const begun = await logged(/an operator requested an export user=[\w-]{11}/, 2);
      const tags = begun.map((line) => /user=([\w-]{11}) operator=([\w-]{11})/.exec(line)?.slice(1) ?? []);
      expect([tags[0]?.[1], tags[0]?.[0] === tags[1]?.[0]]).toEqual([tags[1]?.[1], false]);
      expect(log()).not.toMatch(/auth0|canary/);
    });

    it('as one of the operator’s own streams, not the user’s', async () => {
      await stack.database.query(
        `WITH holder AS (INSERT INTO stream_holders VALUES (gen_random_uuid(), now() + interval '1 hour') RETURNING process)
         INSERT INTO open_streams SELECT 'eva', process, 1 FROM holder`,
      );
      expect((await stack.as('eva').get('/api/v1/me/export')).status).toBe(429);
      expect((await ops.get(`${user('eva')}/export`)).status).toBe(200);
      const busy = new Client(stack.api.url, tokenFor('eva', { scope: 'admin' }));
      expect((await busy.get(`${user('ops')}/export`)).status).toBe(429);
    });
  });

  describe('erases', () => {
    it('all data of the user, and the receipt counts it', async () => {
      const fay = stack.as(ODD);
      const chat = (await fay.chat()).id;
      const { body } = await erase(ODD);
      expect(body).toMatchObject({ chats: 2, deleted_at: expect.any(String) });
      expect((await fay.get(`/api/v1/chats/${chat}`)).status).toBe(404);
      expect((await ops.get(`/api/v1/admin/chats/${chat}`)).status).toBe(404);
      expect((await ops.get(`/api/v1/receipts/${body.id}`)).body).toEqual(body);
      await logged(/an operator requested an erasure user=[\w-]{11}/);
      const rest = await stack.database.query('SELECT FROM chats WHERE user_id = $1 OR released_from = $1', [ODD]);
      expect(rest.rowCount).toBe(0);
      // Erasure needs no token of the user, and leaves other users alone.
      expect((await stack.as('ana').get('/api/v1/chats')).body.data).toHaveLength(1);
      const nothing = (await erase(ODD)).body;
      expect(nothing).toMatchObject({ chats: 0, messages: 0, deleted_at: expect.any(String) });
    });

    it('without waiting, and reads the receipt at its `Location`, which no other user can', async () => {
      await stack.as('gus').chat();
      const holder = await stack.database.connect();
      try {
        await holder.query('BEGIN');
        await holder.query(`SELECT FROM chats WHERE user_id = 'gus' FOR UPDATE`);
        const asked = await erase('gus', 'respond-async');
        expect([asked.status, asked.body.deleted_at]).toEqual([202, null]);
        const at = asked.leads(asked.headers.get('location'));
        expect((await ops.get(at)).body.id).toBe(asked.body.id);
        expect((await stack.as('gus').get(at)).status).toBe(200);
        expect((await stack.as('eve').get(at)).status).toBe(404);
        expect((await erase('gus', 'respond-async')).body.id).toBe(asked.body.id);
        await holder.query('ROLLBACK');
        expect((await erase('gus')).body.id).toBe(asked.body.id);
        expect((await ops.get(at)).body.deleted_at).not.toBeNull();
      } finally {
        holder.release();
      }
    });

    it('no user whom no token could name, and distinguishes capital and small letters', async () => {
      const longest = '😀'.repeat(255);
      await stack.as(longest).chat();
      await stack.as('Hal').chat();
      expect((await erase('hal')).body.chats).toBe(0);
      expect((await erase('Hal')).body.chats).toBe(1);
      expect((await erase(longest)).body.chats).toBe(1);
      expect((await erase('/'.repeat(255))).status).toBe(200);
      for (const name of ['a\0b', 'x'.repeat(256)]) {
        expect((await erase(name)).body.message).toBe('There is no such user.');
      }
    });
  });
});
