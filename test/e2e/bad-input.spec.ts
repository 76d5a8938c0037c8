import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack } from '../support/stack.js';
import { wire, wireBody } from '../support/wire.js';

const JSON_TYPE = { 'content-type': 'application/json' };

describe('bad input gets a 4xx in the one error shape and changes nothing', () => {
  let stack: Stack;
  let chatId: string;
  let before: unknown;
  const everything = async (): Promise<unknown> => {
    const { rows } = await stack.database.query(
      `SELECT (SELECT jsonb_agg(c ORDER BY id) FROM chats c) AS chats, (SELECT jsonb_agg(m ORDER BY id) FROM messages m) AS messages,
              (SELECT jsonb_agg(j ORDER BY id) FROM jobs j) AS jobs, (SELECT count(*) FROM idempotency_keys) AS keys`,
    );
    return rows;
  };

  beforeAll(async () => {
    stack = await borrowStack();
    const ana = stack.as('ana');
    chatId = (await ana.chat()).id;
    await ana.turn(chatId, 'hello');
    before = await everything();
  });
  afterAll(async () => {
    const after = await everything();
    await stack.stop();
    expect(after).toEqual(before);
  });

  const post = (raw: string | Uint8Array, headers: Record<string, string> = JSON_TYPE): Promise<any> =>
    stack.as('ana').request('POST', `/api/v1/chats/${chatId}/turns`, { raw, headers });

  it.each([
    ['cut off', '{"user_message": "x"', 400],
    ['not JSON at all', 'user_message=x', 400],
    ['invalid UTF-8', new Uint8Array([...Buffer.from('{"user_message":"'), 0xff, 0xfe, ...Buffer.from('"}')]), 400],
    ['a prototype', '{"user_message":"x","__proto__":{"a":1}}', 400],
    ['an array', '["x"]', 422],
    ['a number', '5', 422],
    ['null', 'null', 422],
    ['empty', '', 422],
    ['an unknown field', '{"user_message":"x","role":"system"}', 422],
    ['no message', '{}', 422],
    ['an empty message', '{"user_message":""}', 422],
    ['a blank message', '{"user_message":" \\n\\t\\u00a0"}', 422],
    ['a message of another type', '{"user_message":["x"]}', 422],
    ['NUL', '{"user_message":"a\\u0000b"}', 422],
    ['a lone surrogate', '{"user_message":"a\\ud800b"}', 422],
    ['a message one character too long', JSON.stringify({ user_message: 'é'.repeat(32_001) }), 422],
    ['metadata that is not flat', '{"user_message":"x","metadata":{"a":{"b":"c"}}}', 422],
    [
      'metadata with too many keys',
      JSON.stringify({
        user_message: 'x',
        metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, 'v'])),
      }),
      422,
    ],
    ['metadata that is null', '{"user_message":"x","metadata":null}', 422],
    ['a field called like a method of every object', '{"user_message":"x","constructor":"y"}', 422],
    ['nested a thousand deep', `{"user_message":"x","metadata":${'['.repeat(1500)}${']'.repeat(1500)}}`, 422],
    ['a body over the bound', JSON.stringify({ user_message: 'x'.repeat(300_000) }), 413],
  ])('a turn whose body is %s', async (_, raw, status) => {
    expect((await post(raw)).status).toBe(status);
  });

  it('says which field is at fault', async () => {
    const { body } = await post('{"user_message":"", "tone":"rude"}');
    expect(body.details).toEqual(
      expect.arrayContaining([
        { field: 'user_message', message: expect.any(String) },
        { field: 'tone', message: expect.any(String) },
      ]),
    );
  });

  it('stays short, however many fields are at fault', async () => {
    const names = Array.from({ length: 20_000 }, (_, n) => `f${n}`);
    const inBody = (await post(JSON.stringify(Object.fromEntries(names.map((name) => [name, 1]))))).body;
    const query = names.slice(0, 1_000).map((name) => `${name}=`);
    const inQuery = (await stack.as('ana').get(`/api/v1/chats?limit=0&${query.join('&')}`)).body;
    // Faults of known fields come first.
    expect(inBody.details.map(({ field }: { field: string }) => field)).toEqual([
      'user_message',
      ...names.slice(0, 20),
    ]);
    expect(inQuery.details.map(({ field }: { field: string }) => field)).toEqual(['limit', ...names.slice(0, 20)]);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/xml'])(
    'a body of type %s is 415',
    async (type) => {
      expect((await post('{"user_message":"x"}', { 'content-type': type })).status).toBe(415);
    },
  );

  it.each(['text/html', 'text/event-stream', 'application/json;q=0'])('Accept: %s is 406', async (accept) => {
    const answer = await stack.as('ana').get('/api/v1/chats', { headers: { accept } });
    expect([answer.status, answer.body.code]).toEqual([406, 'not_acceptable']);
  });

  it.each(['1', 'not-a-uuid', '0199a0de-0000-7000-8000-00000000000g', '%00', '..%2f..', "'; DROP TABLE chats;--"])(
    'an id like %s is 404',
    async (id) => {
      for (const path of [`chats/${encodeURI(id)}`, `chats/${encodeURI(id)}/messages`, `jobs/${encodeURI(id)}`]) {
        expect((await stack.as('ana').get(`/api/v1/${path}`)).status).toBe(404);
      }
    },
  );

  it.each(['nobody', '%00', 'SUPPORT', 'a%2fb', 'x'.repeat(64), '%F0%9F%98%80'])(
    'an assistant called %s is 404',
    async (slug) => {
      const ana = stack.as('ana');
      const base = `/api/v1/assistants/${slug}`;
      const [get, open] = [await ana.get(base), await ana.post(`${base}/chats`)];
      const [page, turn] = [
        await ana.get(`${base}/chats/${chatId}/messages`),
        await ana.post(`${base}/chats/${chatId}/turns`, { user_message: 'x' }),
      ];
      expect([get, open, page, turn].map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    },
  );

  it.each([
    'limit=0',
    'limit=101',
    'limit=-1',
    'limit=1.5',
    'limit=1e1',
    'limit=ten',
    'limit=',
    'limit=5&limit=6',
    'offset=10',
    'before=',
    'before=abc',
    'before=a&after=b',
    'toString=1',
    '__proto__=1',
    'hasOwnProperty=1',
    `before=${'x'.repeat(201)}`,
  ])('a page with ?%s is 422', async (query) => {
    for (const path of [`chats/${chatId}/messages`, 'chats']) {
      expect((await stack.as('ana').get(`/api/v1/${path}?${query}`)).status).toBe(422);
    }
  });

  it('a query is refused by operations that take none', async () => {
    const ana = stack.as('ana');
    for (const path of ['assistants', 'assistants/support', `chats/${chatId}`]) {
      expect((await ana.get(`/api/v1/${path}?limit=1`)).status).toBe(422);
    }
    expect((await ana.post(`/api/v1/chats/${chatId}/turns?stream=1`, { user_message: 'x' })).status).toBe(422);
    expect((await ana.get('/health/live?probe=1')).status).toBe(200);
  });

  it('a made-up position in the list of chats is 422, whatever moment it claims', async () => {
    const ana = stack.as('ana');
    for (const at of ['1', '2020', '2026-02-31', '+275760-09-13T00:00:00.000Z', '0000-01-01T00:00:00.000Z']) {
      const position = `${at} ${chatId}`;
      const checksum = createHash('sha256').update(`chats ana  \n${position}`).digest('base64url').slice(0, 8);
      const cursor = Buffer.from(`${checksum}${position}`).toString('base64url');
      expect((await ana.get(`/api/v1/chats?before=${cursor}`)).status).toBe(422);
    }
  });

  it('a cursor that was edited, or made for another list, is 422', async () => {
    const ana = stack.as('ana');
    const { after } = (await ana.get(`/api/v1/chats/${chatId}/messages`)).body;
    const edited = Buffer.from(after, 'base64url')
      .toString()
      .replace(/\d{1,9}$/, '1');
    const other = await stack.as('ben').chat();
    const foreign = (await stack.as('ben').get(`/api/v1/chats/${other.id}/messages`)).body.after;
    const ofChats = (await ana.get('/api/v1/chats')).body.after;
    for (const cursor of [Buffer.from(edited).toString('base64url'), foreign, ofChats, `${after}=`]) {
      const answer = await ana.get(`/api/v1/chats/${chatId}/messages?after=${encodeURIComponent(cursor)}`);
      expect([answer.status, answer.body.details?.[0]?.field]).toEqual([422, 'after']);
    }
    await stack.database.query(`DELETE FROM messages WHERE chat_id = $1`, [other.id]);
    await stack.database.query(`DELETE FROM chats WHERE id = $1`, [other.id]);
  });

  it.each([
    ['PATCH', 'chats/{chat}', { status: 'deleted' }],
    ['PATCH', 'chats/{chat}', {}],
    ['PATCH', 'chats/{chat}', { title: '' }],
    ['PATCH', 'chats/{chat}', { title: 'x'.repeat(201) }],
    ['PATCH', 'chats/{chat}', { status: null }],
    ['POST', 'chats/{chat}/messages', { content: ' ' }],
    ['POST', 'jobs/assistant-reply', { chat_id: 'x' }],
    ['POST', 'jobs/assistant-reply', {}],
    ['POST', 'assistants/general/chats', { title: 5 }],
    ['PATCH', 'jobs/0199a0de-0000-7000-8000-000000000000', { status: 'succeeded' }],
  ])('%s %s with %j is 422', async (method, path, body) => {
    const answer = await stack.as('ana').request(method, `/api/v1/${path.replace('{chat}', chatId)}`, { body });
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  });

  it('a path that does not exist is 404, a method that a path does not know 405 with Allow', async () => {
    const ana = stack.as('ana');
    expect((await ana.get('/api/v1/nothing')).body.code).toBe('not_found');
    expect((await ana.get('/nothing')).body.code).toBe('not_found');
    const answer = await ana.request('PUT', `/api/v1/chats/${chatId}`);
    expect([answer.status, answer.body.code]).toEqual([405, 'method_not_allowed']);
    expect(answer.headers.get('allow')).toBe('DELETE, GET, HEAD, PATCH');
    expect((await ana.request('PUT', '/api/v1/jobs/assistant-reply')).headers.get('allow')).toContain('POST');
    // A trailing slash makes another path.
    expect((await ana.get(`/api/v1/chats/${chatId}/`)).status).toBe(404);
    expect((await ana.post(`/api/v1/chats/${chatId}/messages/`, { content: 'x' })).status).toBe(404);
  });

  it.each([
    [
      'an address that cannot be decoded',
      'GET /api/v1/chats/%zz HTTP/1.1\r\nHost: x\r\n\r\n',
      400,
      'malformed_request',
    ],
    ['a line that is not HTTP', 'HELLO\r\n\r\n', 400, 'malformed_request'],
    [
      'headers beyond the bound',
      `GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'header_fields_too_large',
    ],
    ['no Host', 'GET /api/v1/chats HTTP/1.1\r\n\r\n', 400, 'malformed_request'],
    [
      'an expectation nobody knows',
      'GET /api/v1/chats HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n',
      401,
      'unauthorized',
    ],
    ['a path out of the docs', 'GET /docs/%00 HTTP/1.1\r\nHost: x\r\n\r\n', 404, 'not_found'],
    ['an empty folder of the docs', 'GET /docs// HTTP/1.1\r\nHost: x\r\n\r\n', 404, 'not_found'],
    [
      'two lengths',
      'POST /api/v1/chats HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'malformed_request',
    ],
  ])('%s, on the wire, gets the error shape too', async (_, request, status, code) => {
    const answer = await wire(stack.api.url, request);
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer.toLowerCase()).toContain('x-request-id: ');
    expect(wireBody(answer)).toEqual({ code, message: expect.any(String), request_id: expect.any(String) });
  });

  it('headers that do not come to an end get 408, and the connection does not stay', async () => {
    const answer = await wire(stack.api.url, 'GET /api/v1/chats HTTP/1.1\r\nHost: x\r\nX-Slow: ', 25_000);
    expect(answer).toContain('HTTP/1.1 408 ');
    expect(wireBody(answer)).toMatchObject({ code: 'request_timeout' });
  });
});
