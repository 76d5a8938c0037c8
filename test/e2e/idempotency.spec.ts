import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Answer } from '../support/client.js';
import { openStream } from '../support/events.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';
import { wire } from '../support/wire.js';

const REPLAYED = 'idempotent-replayed';

describe('a request with an Idempotency-Key', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
  });
  afterAll(() => stack.stop());

  const withKey = (key: string = randomUUID(), more: Record<string, string> = {}) => ({
    'idempotency-key': key,
    ...more,
  });
  const count = async (table: string, where: string, values: unknown[]): Promise<number> => {
    const { rows } = await stack.database.query(`SELECT count(*)::int AS n FROM ${table} WHERE ${where}`, values);
    return rows[0]?.n as number;
  };
  const fresh = (answers: readonly Answer[]): Answer[] =>
    answers.filter(({ headers }) => headers.get(REPLAYED) === null);

  it('sent a hundred times at once is one turn, one model call and a hundred equal answers', async () => {
    const ana = stack.as('ana');
    const other = await stack.startApi();
    const chat = await ana.chat();
    await stack.model.script('all at once', { text: 'one reply', delay_ms: 1_000 });
    const headers = withKey();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        stack.as('ana', n % 2 === 0 ? stack.api : other).turn(chat.id, 'all at once', headers),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(fresh(answers)).toHaveLength(1);
    expect(await stack.model.calls('all at once')).toHaveLength(1);
    expect(await count('jobs', 'chat_id = $1', [chat.id])).toBe(1);
    expect((await ana.get(`/api/v1/chats/${chat.id}/messages`)).body.data).toHaveLength(3);
    expect(await other.stop()).toBe(0);
  });

  it('of every kind takes effect once, and gets the same answer again', async () => {
    const ben = stack.as('ben');
    const key = randomUUID();
    const chat = await ben.post('/api/v1/assistants/billing/chats', { title: 'Bills' }, withKey(`chat ${key}`));
    const at = `/api/v1/assistants/billing/chats/${chat.body.id}`;
    const requests: [string, object, Record<string, string>][] = [
      ['/api/v1/assistants/billing/chats', { title: 'Bills' }, withKey(`chat ${key}`)],
      ['/api/v1/assistants/general/chats', {}, withKey(`general ${key}`)],
      [`/api/v1/chats/${chat.body.id}/messages`, { content: 'one' }, withKey(`one ${key}`)],
      [`${at}/messages`, { content: 'two', metadata: { b: 'x', a: 'y' } }, withKey(`two ${key}`)],
      ['/api/v1/jobs/assistant-reply', { chat_id: chat.body.id }, withKey(`reply ${key}`)],
      [`${at}/turns`, { user_message: 'three' }, withKey(`three ${key}`, { prefer: 'respond-async' })],
      [`/api/v1/chats/${chat.body.id}/turns`, { user_message: 'four' }, withKey(`four ${key}`)],
    ];
    const first: Answer[] = [];
    for (const [path, body, headers] of requests) {
      const answer = await ben.post(path, body, headers);
      first.push(answer);
      if (answer.status === 202) await ben.finalJob(answer.body.id as string);
    }
    expect(first.map(({ status }) => status)).toEqual([201, 201, 201, 201, 202, 202, 200]);
    expect(first[0]?.body).toEqual(chat.body);
    expect(fresh(first)).toHaveLength(6);
    // Whatever happens to the chat meanwhile.
    await ben.patch(`/api/v1/chats/${chat.body.id}`, { status: 'closed', title: 'Paid' });
    for (const [n, [path, body, headers]] of requests.entries()) {
      const again = await ben.post(path, body, headers);
      expect([again.status, again.body, again.headers.get('location')]).toEqual([
        first[n]?.status,
        first[n]?.body,
        first[n]?.headers.get('location'),
      ]);
      expect(again.headers.get(REPLAYED)).toBe('true');
    }
    // Without a wait, the answer is the job as it was accepted. With a wait, even of no time, it is the turn's present state.
    const now = await ben.post(`${at}/turns`, { user_message: 'three' }, withKey(`three ${key}`, { prefer: 'wait=0' }));
    expect([now.status, now.body.job_id]).toEqual([200, first[5]?.body.id]);
    expect(await count('messages', 'chat_id = $1', [chat.body.id])).toBe(8);
    expect(await count('chats', 'user_id = $1', ['ben'])).toBe(2);
  });

  it('that found its chat gets it again, although the chat was archived since', async () => {
    const eva = stack.as('eva');
    const chat = await eva.chat();
    const headers = withKey();
    const found = await eva.post('/api/v1/assistants/support/chats', {}, headers);
    expect([found.status, found.body.id]).toEqual([200, chat.id]);
    await eva.patch(`/api/v1/chats/${chat.id}`, { status: 'archived' });
    const again = await eva.post('/api/v1/assistants/support/chats', {}, headers);
    expect([again.status, again.body, again.headers.get(REPLAYED)]).toEqual([200, found.body, 'true']);
    expect(await count('chats', 'user_id = $1', ['eva'])).toBe(1);
  });

  it('that comes as another turn of its chat ends finds its own turn, and is not refused', async () => {
    const user = stack.as('race');
    const other = await stack.startApi();
    const chat = await user.chat();
    await stack.model.script('in the way', { delay_ms: 60 });
    for (let round = 0; round < 8; round++) {
      await user.turnAsync(chat.id, 'in the way');
      const headers = withKey(randomUUID(), { prefer: 'respond-async' });
      const answers = await Promise.all(
        Array.from({ length: 40 }, async (_, n) => {
          await new Promise((resolve) => setTimeout(resolve, 40 + n * 2));
          return stack.as('race', n % 2 === 0 ? stack.api : other).turn(chat.id, `twins ${round}`, headers);
        }),
      );
      const accepted = answers.find(({ status }) => status === 202)?.body.id as string | undefined;
      for (const { status, body } of answers) {
        if (status === 409) expect(body.job_id).not.toBe(accepted);
        else expect([status, body.id]).toEqual([202, accepted]);
      }
      if (accepted !== undefined) await user.finalJob(accepted);
      await until(
        async () => (await count('jobs', 'chat_id = $1 AND finished_at IS NULL', [chat.id])) === 0,
        'the end of the turns',
      );
    }
    expect(await other.stop()).toBe(0);
  });

  it('for a reply, that comes as a turn ends, is never refused because no message awaits one', async () => {
    const user = stack.as('replies');
    const chat = await user.chat();
    await stack.model.script('refuses this', { status: 400, error_type: 'invalid_request_error', delay_ms: 30 });
    for (let round = 0; round < 8; round++) {
      await user.turnAsync(chat.id, `refuses this, ${round}`);
      const answers = await Promise.all(
        Array.from({ length: 30 }, async (_, n) => {
          await new Promise((resolve) => setTimeout(resolve, n * 3));
          return user.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id }, withKey());
        }),
      );
      for (const { status, body } of answers)
        expect([202, 'turn_in_progress']).toContain(status === 202 ? 202 : body.code);
      await until(
        async () => (await count('jobs', 'chat_id = $1 AND finished_at IS NULL', [chat.id])) === 0,
        'the end of the turns',
      );
    }
  });

  it('finds its chat, even if its assistant was removed, and many come at once', async () => {
    const user = stack.as('retired');
    const chat = await user.chat('billing');
    await stack.database.query(`UPDATE assistants SET retired_at = now() WHERE slug = 'billing'`);
    try {
      const headers = withKey();
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => user.post('/api/v1/assistants/billing/chats', {}, headers)),
      );
      expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`))).toEqual(new Set([`200 ${chat.id}`]));
      expect((await user.post('/api/v1/assistants/billing/chats', { title: 'x' }, headers)).body.code).toBe(
        'idempotency_key_reused',
      );
    } finally {
      await stack.database.query(`UPDATE assistants SET retired_at = NULL WHERE slug = 'billing'`);
    }
  });

  it('opens one chat, even if a hundred come at once', async () => {
    const headers = withKey();
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => stack.as('flo').post('/api/v1/assistants/support/chats', {}, headers)),
    );
    expect(new Set(answers.map(({ status, body }) => `${status} ${JSON.stringify(body)}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    expect(fresh(answers)).toHaveLength(1);
  });

  it('stores one message and asks for one reply, even if twenty of each come at once', async () => {
    const gus = stack.as('gus');
    const chat = await gus.chat();
    for (const [path, body] of [
      [`/api/v1/chats/${chat.id}/messages`, { content: 'once' }],
      ['/api/v1/jobs/assistant-reply', { chat_id: chat.id }],
    ] as const) {
      const headers = withKey();
      const answers = await Promise.all(Array.from({ length: 20 }, () => gus.post(path, body, headers)));
      expect(new Set(answers.map(({ status, body }) => `${status} ${JSON.stringify(body)}`)).size).toBe(1);
      expect(fresh(answers)).toHaveLength(1);
    }
    expect(await count('messages', `chat_id = $1 AND role = 'user'`, [chat.id])).toBe(1);
    expect(await count('jobs', 'chat_id = $1', [chat.id])).toBe(1);
  });

  it('may wait in another way than the first time', async () => {
    const hal = stack.as('hal');
    const chat = await hal.chat();
    await stack.model.script('take it easy', { pieces: ['slow ', 'and ', 'steady'], piece_delay_ms: 300 });
    const headers = withKey();
    const first = await hal.turn(chat.id, 'take it easy', { ...headers, prefer: 'respond-async' });
    expect(first.status).toBe(202);
    const stream = await openStream(stack.api.url, tokenFor('hal'), `/api/v1/chats/${chat.id}/turns`, {
      body: { user_message: 'take it easy' },
      headers,
    });
    expect(stream.headers.get(REPLAYED)).toBe('true');
    let text = '';
    for await (const { event, data } of stream.events) if (event === 'delta') text += String(data.text);
    expect(text).toBe('slow and steady');
    const waited = await hal.turn(chat.id, 'take it easy', headers);
    expect(waited).toMatchObject({ status: 200, body: { job_id: first.body.id } });
    expect((await hal.turn(chat.id, 'take it easy', { ...headers, prefer: 'respond-async' })).body).toEqual(first.body);
    expect(await stack.model.calls('take it easy')).toHaveLength(1);
  });

  it('whose turn failed, or was canceled, gets the same answer again, without a model call', async () => {
    const ida = stack.as('ida');
    const chat = await ida.chat();
    await stack.model.script('no way', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    const headers = withKey();
    const failed = await ida.turn(chat.id, 'no way', headers);
    const again = await ida.turn(chat.id, 'no way', headers);
    expect([failed.status, again.status, again.body.job_id]).toEqual([502, 502, failed.body.job_id]);
    expect(again.headers.get(REPLAYED)).toBe('true');
    expect(await stack.model.calls('no way')).toHaveLength(1);
  });

  it('is refused when the key was used for another request', async () => {
    const jon = stack.as('jon');
    const chat = await jon.chat();
    const other = await jon.chat('billing');
    const headers = withKey();
    expect((await jon.turn(chat.id, 'this', headers)).status).toBe(200);
    const refused = [
      await jon.turn(chat.id, 'that', headers),
      await jon.turn(other.id, 'this', headers),
      await jon.post(`/api/v1/assistants/support/chats/${chat.id}/turns`, { user_message: 'this' }, headers),
      await jon.post(`/api/v1/chats/${chat.id}/turns`, { user_message: 'this', metadata: {} }, headers),
      await jon.post(`/api/v1/chats/${chat.id}/messages`, { content: 'this' }, headers),
      await jon.post('/api/v1/jobs/assistant-reply', { chat_id: chat.id }, headers),
      await jon.post('/api/v1/assistants/support/chats', {}, headers),
    ];
    for (const { status, body } of refused) expect([status, body.code]).toEqual([422, 'idempotency_key_reused']);
    expect(await count('messages', `chat_id = ANY($1)`, [[chat.id, other.id]])).toBe(4);
    // At the same moment, too: one of the two takes effect.
    const race = withKey();
    const both = await Promise.all([jon.turn(chat.id, 'left', race), jon.turn(other.id, 'right', race)]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 422]);
  });

  it('is the same request with its fields in another order, and without a body instead of an empty one', async () => {
    const kay = stack.as('kay');
    const headers = withKey();
    const chat = await kay.post('/api/v1/assistants/support/chats', undefined, headers);
    expect((await kay.post('/api/v1/assistants/support/chats', {}, headers)).body).toEqual(chat.body);
    const key = withKey();
    const raw = (text: string): Promise<Answer> =>
      kay.request('POST', `/api/v1/chats/${String(chat.body.id).toUpperCase()}/messages`, {
        raw: text,
        headers: { ...key, 'content-type': 'application/json' },
      });
    const one = await raw('{"content":"x","metadata":{"b":"1","a":"2"}}');
    const two = await raw('{ "metadata": {"a":"2","b":"1"}, "content":"\\u0078" }');
    expect([one.status, two.status, two.body]).toEqual([201, 201, one.body]);
  });

  it('has a key that is its user’s: another user’s request with the same key is another one', async () => {
    const headers = withKey('1');
    const chats = await Promise.all(
      ['lea', 'max'].map((user) => stack.as(user).post('/api/v1/assistants/support/chats', {}, headers)),
    );
    expect(chats.map(({ status }) => status)).toEqual([201, 201]);
    expect(chats[0]?.body.id).not.toBe(chats[1]?.body.id);
    expect(fresh(chats)).toHaveLength(2);
  });

  it('leaves no key behind when it is refused', async () => {
    const ned = stack.as('ned');
    const chat = await ned.chat();
    const headers = withKey();
    expect((await ned.post(`/api/v1/chats/${chat.id}/turns`, { user_message: ' ' }, headers)).status).toBe(422);
    expect((await ned.turn(randomUUID(), 'hello', headers)).status).toBe(404);
    await stack.model.script('in the way', { delay_ms: 1_000 });
    const job = await ned.turnAsync(chat.id, 'in the way');
    expect((await ned.turn(chat.id, 'hello', headers)).status).toBe(409);
    expect(await count('idempotency_keys', 'user_id = $1', ['ned'])).toBe(0);
    await ned.finalJob(job.id);
    const mended = await ned.turn(chat.id, 'hello', headers);
    expect([mended.status, mended.headers.get(REPLAYED)]).toEqual([200, null]);
  });

  it('is the same request with its key in quotes or without, and another one with a key that differs in any character', async () => {
    const uri = stack.as('uri');
    const path = `/api/v1/chats/${(await uri.chat()).id}/messages`;
    const seqOf = async (key: string): Promise<[number, string | null]> => {
      const { body, headers } = await uri.post(path, { content: 'x' }, withKey(key));
      return [body.seq, headers.get(REPLAYED)];
    };
    expect(await seqOf('k-1')).toEqual([2, null]);
    expect(await seqOf('"k-1"')).toEqual([2, 'true']);
    expect(await seqOf('"a \\"b\\" \\\\"')).toEqual([3, null]);
    expect(await seqOf('a "b" \\')).toEqual([3, 'true']);
    // None of these is a string in quotes, so each is a key as it stands.
    const others = ['K-1', "'k-1'", '"k-1', 'k-1"', '"k-1";v=1', '"k"-"1"', '""', '"k\\-1"', '"é"'];
    for (const [n, key] of others.entries()) expect([key, await seqOf(key)]).toEqual([key, [4 + n, null]]);
    expect(await seqOf('é')).toEqual([4 + others.length, null]);
  });

  it('is refused when its key is too long, empty, given twice, or holds control characters', async () => {
    const oda = stack.as('oda');
    const chat = await oda.chat();
    const path = `/api/v1/chats/${chat.id}/messages`;
    expect((await oda.post(path, { content: 'x' }, withKey('k'.repeat(255)))).status).toBe(201);
    for (const key of ['k'.repeat(256), '', 'a\tb', 'a\x85b']) {
      const { status, body } = await oda.post(path, { content: 'x' }, withKey(key));
      expect([status, body.details?.[0]?.field]).toEqual([422, 'Idempotency-Key']);
    }
    const send = (more: string): Promise<string> => {
      const body = '{"content":"x"}';
      return wire(
        stack.api.url,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor('oda')}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${body.length}\r\n${more}\r\nConnection: close\r\n\r\n${body}`,
      );
    };
    expect(await send(`Idempotency-Key: ${Buffer.from('pedido-Ñ-日本').toString('latin1')}`)).toMatch(
      /^HTTP\/1.1 201 /,
    );
    expect(await count('idempotency_keys', 'user_id = $1 AND key = $2', ['oda', 'pedido-Ñ-日本'])).toBe(1);
    expect(await send('Idempotency-Key: one\r\nIdempotency-Key: two')).toMatch(/^HTTP\/1.1 422 /);
    expect(await send('Idempotency-Key: a\x01b')).toMatch(/^HTTP\/1.1 400 /);
    expect(await count('messages', `chat_id = $1 AND role = 'user'`, [chat.id])).toBe(2);
  });

  it('has its key for a day; then the key is purged, and the request is a new one', async () => {
    const pia = stack.as('pia');
    const chat = await pia.chat();
    const path = `/api/v1/chats/${chat.id}/messages`;
    const [young, old] = [withKey(), withKey()];
    await pia.post(path, { content: 'x' }, young);
    await pia.post(path, { content: 'x' }, old);
    const age = (key: string, age: string): Promise<unknown> =>
      stack.database.query(`UPDATE idempotency_keys SET created_at = now() - $2::interval WHERE key = $1`, [key, age]);
    await age(young['idempotency-key'], '23 hours 59 minutes');
    await age(old['idempotency-key'], '24 hours 1 second');
    // More keys than one purge deletes.
    await stack.database.query(
      `INSERT INTO idempotency_keys (user_id, key, fingerprint, chat, created, created_at)
       SELECT 'pia', 'old ' || n, sha256(n::text::bytea), '{}', true, now() - interval '2 days' FROM generate_series(1, 12000) AS n`,
    );
    const worker = await stack.startWorker();
    await until(async () => (await count('idempotency_keys', 'user_id = $1', ['pia'])) === 1, 'the purge');
    expect((await pia.post(path, { content: 'x' }, young)).headers.get(REPLAYED)).toBe('true');
    expect((await pia.post(path, { content: 'x' }, old)).headers.get(REPLAYED)).toBeNull();
    await worker.stop();
  });
});
