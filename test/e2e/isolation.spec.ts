import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { operations } from '#contract/openapi.gen.js';
import { Client, contract, type RequestOptions } from '../support/client.js';
import { borrowStack } from '../support/borrow-stack.js';
import { SECRET, type Stack, tokenFor } from '../support/stack.js';
import { exactAnswer } from '../support/exact-answer.js';
import { until } from '../support/until.js';
import { wire } from '../support/wire.js';

const NOBODYS = '0199a0de-0000-7000-8000-000000000000';

/** Ids that a request may name. */
interface Things {
  readonly chat: string;
  readonly job: string;
  readonly receipt: string;
  readonly failedJob: string;
}

interface Row {
  /** The callers of the operation. It is closed to all others, and an operator's seems not to exist. */
  readonly for: 'anybody' | 'user' | 'operator';
  readonly path: (things: Things) => string;
  readonly body?: (things: Things) => object;
}

const anybody = (path: string): Row => ({ for: 'anybody', path: () => path });
const user = (path: Row['path'], body?: Row['body']): Row => ({ for: 'user', path, ...(body && { body }) });
const operator = (path: Row['path'], body?: Row['body']): Row => ({ ...user(path, body), for: 'operator' });
const scoped = ({ chat }: Things): string => `/api/v1/assistants/support/chats/${chat}`;
const plain = ({ chat }: Things): string => `/api/v1/chats/${chat}`;
const job = ({ job }: Things): string => `/api/v1/jobs/${job}`;
const content = (): object => ({ content: 'hello' });
const message = (): object => ({ user_message: 'hello' });

/**
 * The rights of callers. The ids in a row's request show whose data it names: a request for another user's data gets the same answer as one for
 * data that does not exist. The compiler demands a row for each operation.
 */
const MATRIX: Record<keyof operations, Row> = {
  getLiveness: anybody('/health/live'),
  getReadiness: anybody('/health/ready'),
  listAssistants: user(() => '/api/v1/assistants'),
  getAssistant: user(() => '/api/v1/assistants/support'),
  openChat: user(
    () => '/api/v1/assistants/support/chats',
    () => ({}),
  ),
  listChats: user(() => '/api/v1/chats'),
  getChat: user(plain),
  updateChat: user(plain, () => ({ title: 'mine now' })),
  deleteChat: user(plain),
  listMessages: user((things) => `${plain(things)}/messages`),
  createMessage: user((things) => `${plain(things)}/messages`, content),
  createTurn: user((things) => `${plain(things)}/turns`, message),
  listAssistantChatMessages: user((things) => `${scoped(things)}/messages`),
  createAssistantChatMessage: user((things) => `${scoped(things)}/messages`, content),
  createAssistantChatTurn: user((things) => `${scoped(things)}/turns`, message),
  requestReply: user(
    () => '/api/v1/jobs/assistant-reply',
    ({ chat }) => ({ chat_id: chat }),
  ),
  getJob: user(job),
  updateJob: user(job, () => ({ status: 'canceled' })),
  followJob: user((things) => `${job(things)}/events`),
  listToolCalls: user((things) => `${job(things)}/tool-calls`),
  updateToolCall: user(
    (things) => `${job(things)}/tool-calls/${NOBODYS}`,
    () => ({ decision: 'approve' }),
  ),
  deleteMe: user(() => '/api/v1/me'),
  getReceipt: user(({ receipt }) => `/api/v1/receipts/${receipt}`),
  exportMe: user(() => '/api/v1/me/export'),
  listAdminJobs: operator(() => '/api/v1/admin/jobs'),
  getAdminJob: operator(({ job }) => `/api/v1/admin/jobs/${job}`),
  updateAdminJob: operator(
    ({ failedJob }) => `/api/v1/admin/jobs/${failedJob}`,
    () => ({ status: 'queued' }),
  ),
  listAdminToolCalls: operator(({ job }) => `/api/v1/admin/jobs/${job}/tool-calls`),
  updateAdminToolCall: operator(
    ({ job }) => `/api/v1/admin/jobs/${job}/tool-calls/${NOBODYS}`,
    () => ({ decision: 'approve' }),
  ),
  listAdminChats: operator(() => '/api/v1/admin/chats?user=ana'),
  getAdminChat: operator(({ chat }) => `/api/v1/admin/chats/${chat}`),
  updateAdminChat: operator(
    ({ chat }) => `/api/v1/admin/chats/${chat}`,
    () => ({ status: 'closed' }),
  ),
  deleteUser: operator(() => '/api/v1/admin/users/ana'),
  exportUser: operator(() => '/api/v1/admin/users/ana/export'),
  getDispatch: operator(() => '/api/v1/admin/dispatch'),
  updateDispatch: operator(
    () => '/api/v1/admin/dispatch',
    () => ({ paused: true }),
  ),
  getUsage: operator(() => '/api/v1/admin/usage'),
  getBudgets: operator(() => '/api/v1/admin/budgets'),
};

const rows = Object.entries(MATRIX).map(([id, row]) => {
  const operation = contract.operations.find((one) => one.id === id);
  return {
    id,
    ...row,
    method: operation?.method ?? '',
    hasBody: operation?.hasBody === true,
    pattern: operation?.pattern,
  };
});
const nothing: Things = { chat: NOBODYS, job: NOBODYS, receipt: NOBODYS, failedJob: NOBODYS };
const other: Things = { chat: '1', job: '1', receipt: '1', failedJob: '1' };
const named = rows.filter(
  (row) =>
    row.for === 'user' &&
    JSON.stringify([row.path(nothing), row.body?.(nothing)]) !== JSON.stringify([row.path(other), row.body?.(other)]),
);

describe('isolation of users', () => {
  let stack: Stack;
  let hers: Things;
  let free: () => Promise<void>;
  beforeAll(async () => {
    stack = await borrowStack();
    const ana = stack.as('ana');
    const chat = (await ana.chat()).id;
    const { id } = (await ana.turn(chat, 'my secret question', { 'idempotency-key': 'hers' })).body.user_message;
    expect(id).toBeDefined();
    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error', message: 'no' }, 1);
    const failedJob = (await ana.turn(chat, 'refused')).body.job_id as string;
    const job = (await ana.turn(chat, 'and another')).body.job_id as string;

    // A deletion that cannot end, because a session locks its rows.
    const zoe = stack.as('zoe');
    await zoe.chat();
    const holder = await stack.database.connect();
    await holder.query('BEGIN');
    await holder.query(`SELECT FROM chats WHERE user_id = 'zoe' FOR UPDATE`);
    free = async () => {
      await holder.query('ROLLBACK');
      holder.release();
    };
    const receipt = (await zoe.request('DELETE', '/api/v1/me', { headers: { prefer: 'respond-async' } })).body.id;
    hers = { chat, job, receipt, failedJob };
  });
  afterAll(async () => {
    await free();
    await stack.stop();
  });

  const ask = (client: Client, row: (typeof rows)[number], things: Things, headers: Record<string, string> = {}) =>
    exactAnswer(client, row.method, row.path(things), { body: row.body?.(things), headers });

  it('every operation of the contract has a row, and every row an operation', () => {
    expect(Object.keys(MATRIX).sort()).toEqual(contract.operations.map(({ id }) => id).sort());
    for (const { id, pattern, path, body, hasBody } of rows) {
      expect([id, pattern?.test(path(hers).split('?', 1)[0] ?? ''), body !== undefined]).toEqual([id, true, hasBody]);
    }
    expect(named.length).toBeGreaterThan(12);
  });

  it('another user’s chat, job or receipt answers byte for byte like one that does not exist, for every method and header', async () => {
    const etag = (await stack.as('ana').get(`/api/v1/chats/${hers.chat}`)).headers.get('etag') ?? '';
    const ways: [string, Record<string, string>][] = [
      ['GET HEAD POST PATCH DELETE', {}],
      ['GET HEAD PATCH DELETE', { 'if-match': '"other"' }],
      ['GET PATCH DELETE', { 'if-match': etag }],
      ['GET HEAD PATCH DELETE', { 'if-none-match': '*' }],
      ['GET HEAD', { 'if-none-match': etag }],
      ['POST', { 'idempotency-key': 'hers' }],
      ['GET POST', { prefer: 'wait=1' }],
      ['POST', { prefer: 'respond-async' }],
      ['GET POST', { accept: 'text/event-stream' }],
      ['GET HEAD', { 'last-event-id': 'end' }],
      ['GET', { 'last-event-id': '1.3' }],
    ];
    const before = await everything(stack);
    const eve = stack.as('eve');
    for (const row of named.flatMap((row) => (row.method === 'GET' ? [row, { ...row, method: 'HEAD' }] : [row]))) {
      const possible = ways
        .filter(([methods]) => methods.split(' ').includes(row.method))
        .map(([, headers]) => headers);
      await Promise.all(
        possible.map(async (headers) => {
          const [one, another] = [await ask(eve, row, hers, headers), await ask(eve, row, nothing, headers)];
          expect([row.id, headers, one]).toEqual([row.id, headers, another]);
          const readable = headers['accept'] === undefined || /(turns|events)$/.test(row.path(hers));
          expect([row.id, headers, one.status]).toEqual([row.id, headers, readable ? 404 : 406]);
        }),
      );
    }
    // The requests have left no key, used up no turn, and kept no stream open.
    expect(await everything(stack)).toEqual(before);
    const open = () => stack.database.query(`SELECT FROM open_streams WHERE user_id = 'eve' AND streams > 0`);
    await until(async () => (await open()).rowCount === 0, 'the streams to be closed');
  });

  it('a request without ids gives the caller’s own data, and changes nobody else’s', async () => {
    const before = await everything(stack, `= 'ana'`);
    const eve = stack.as('eve');
    for (const row of rows) {
      if (row.for !== 'user' || named.includes(row)) continue;
      const { status, body } = await ask(eve, row, hers);
      expect([row.id, status < 300]).toEqual([row.id, true]);
      expect(body).not.toMatch(new RegExp(`${Object.values(hers).join('|')}|secret|ana`));
    }
    expect(await everything(stack, `= 'ana'`)).toEqual(before);
  });

  it('a cursor of another user’s list is refused', async () => {
    const ana = stack.as('ana');
    for (const path of ['/api/v1/chats', `/api/v1/chats/${hers.chat}/messages`]) {
      const { after } = (await ana.get(path)).body;
      expect((await stack.as('eve').get(`/api/v1/chats?before=${after}`)).status).toBe(422);
      const { id } = await stack.as('eve').chat();
      expect((await stack.as('eve').get(`/api/v1/chats/${id}/messages?before=${after}`)).status).toBe(422);
    }
  });

  it('without a valid token every operation answers the same, before it reads anything else of the request', async () => {
    const tokens = {
      missing: undefined,
      expired: tokenFor('ana', { exp: 1_000_000_000, scope: 'admin' }),
      'signed with another key': tokenFor('ana', { scope: 'admin' }, 'another secret that is also long enough'),
    };
    const ways: RequestOptions[] = [
      {},
      { headers: { accept: 'text/html' } },
      { headers: { 'content-type': 'application/json' }, raw: '{' },
      { headers: { 'content-type': 'text/plain' }, raw: 'x' },
      { headers: { 'content-type': 'application/json' }, raw: `"${'x'.repeat(300_000)}"` },
    ];
    const answers = new Map<string, string[]>();
    for (const [name, token] of Object.entries(tokens)) {
      const client = new Client(stack.api.url, token);
      for (const row of rows) {
        if (row.for === 'anybody') {
          expect([row.id, (await ask(client, row, hers)).status]).toEqual([row.id, 200]);
          continue;
        }
        const asked = [await ask(client, row, hers), await ask(client, row, nothing)];
        const possible = row.method !== 'GET' && name === 'missing' ? ways : ways.slice(0, 2);
        asked.push(...(await Promise.all(possible.map((way) => exactAnswer(client, row.method, row.path(hers), way)))));
        for (const answer of asked) {
          const text = JSON.stringify(answer);
          answers.set(text, [...(answers.get(text) ?? []), `${row.id}, ${name}`]);
        }
      }
    }
    expect([...answers.values()].slice(1)).toEqual([]);
    const [answer = ''] = answers.keys();
    expect(JSON.parse(answer)).toMatchObject({
      status: 401,
      body: '{"code":"unauthorized","message":"A valid bearer token is required.","request_id":"same"}',
      headers: { 'www-authenticate': 'Bearer realm="rejoinder"', 'cache-control': 'no-store' },
    });
  });

  it('without a valid token the answer does not wait for the body', async () => {
    for (const row of rows.filter(({ method }) => method !== 'GET')) {
      const head = `${row.method} ${row.path(hers)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
      const answer = await wire(stack.api.url, `${head}Content-Length: 262144\r\nConnection: close\r\n\r\n{`);
      expect([row.id, answer.split('\r\n')[0]]).toEqual([row.id, 'HTTP/1.1 401 Unauthorized']);
    }
  });

  it('an address is closed in every spelling', async () => {
    for (const path of ['/%61pi/v1/chats', '/api/v1/%63hats', '/api/%761/admin/jobs', '/api/v1/%61dmin/jobs']) {
      expect((await exactAnswer(new Client(stack.api.url, undefined), 'GET', path)).status).toBe(401);
      const { status } = await exactAnswer(stack.as('eve'), 'GET', path, { headers: { accept: 'text/html' } });
      expect(status).toBe(path.endsWith('jobs') ? 404 : 406);
    }
  });

  it('without the scope of operators their operations answer byte for byte like an unknown address', async () => {
    const operators = rows.filter((row) => row.for === 'operator');
    const before = await everything(stack);
    for (const scope of [undefined, 'administrator', 'Admin', 'admin:read', { admin: true }]) {
      const client = new Client(stack.api.url, tokenFor('eve', { scope }));
      for (const row of operators) {
        const body = row.body?.(hers);
        const unknown = await exactAnswer(client, row.method, '/api/v1/nothing/here', { body });
        expect([row.id, scope, await ask(client, row, hers)]).toEqual([row.id, scope, unknown]);
        expect(unknown.status).toBe(404);
      }
    }
    expect(await everything(stack)).toEqual(before);
  });

  it('no body sets a field that its caller may not set', async () => {
    const ops = new Client(stack.api.url, tokenFor('ana', { scope: 'admin' }));
    const schemas = ['Chat', 'Message', 'Job', 'Receipt', 'AdminJobDetail', 'Dispatch', 'ModelCall'];
    const fields = schemas.flatMap((name) =>
      Object.keys(contract.at(`/components/schemas/${name}/properties`) as object),
    );
    expect(fields.length).toBeGreaterThan(30);
    const before = await everything(stack);
    for (const row of rows.filter(({ hasBody }) => hasBody)) {
      const mine = row.body?.(hers) ?? {};
      const known = new Set([...Object.keys(mine), 'title', 'metadata', 'status', 'content']);
      const foreign = [...new Set([...fields, 'user_id', 'user', 'owner', 'sub', 'scope', 'released_from'])].filter(
        (field) => !known.has(field),
      );
      // One answer names only twenty.
      for (let n = 0; n < foreign.length; n += 20) {
        const some = foreign.slice(n, n + 20);
        const body = { ...Object.fromEntries(some.map((field) => [field, 'eve'])), ...mine };
        const answer = await ops.request(row.method, row.path(hers), { body });
        expect([row.id, answer.status]).toEqual([row.id, 422]);
        expect(answer.body.details.map(({ field }: { field: string }) => field).sort()).toEqual(some.sort());
      }
    }
    expect(await everything(stack)).toEqual(before);
  });

  it('a token is valid only with a user, an end, and a signature by our key', async () => {
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    const signed = (payload: string): string => {
      const [header] = tokenFor('ana').split('.');
      const text = `${header}.${Buffer.from(payload).toString('base64url')}`;
      return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
    };
    const tokens = {
      garbage: 'not-a-token',
      'not valid yet': tokenFor('ana', { nbf: Math.floor(Date.now() / 1000) + 600 }),
      'without alg': `${none}.${tokenFor('ana').split('.')[1]}.`,
      'without a user': tokenFor('ana', { sub: undefined }),
      'with an empty user': tokenFor(''),
      'with NUL in the user': tokenFor('a\0b'),
      'that never ends': tokenFor('ana', { exp: undefined }),
      'that ends at infinity': signed('{"sub":"ana","exp":1e999}'),
      'that says nothing': signed('null'),
    };
    const missing = await exactAnswer(new Client(stack.api.url, undefined), 'GET', '/api/v1/chats');
    for (const [name, token] of Object.entries(tokens)) {
      expect([name, await exactAnswer(new Client(stack.api.url, token), 'GET', '/api/v1/chats')]).toEqual([
        name,
        missing,
      ]);
    }
    expect(missing.status).toBe(401);
  });

  it('two users who do the same at the same time never meet', async () => {
    const users = ['u1', 'u2', 'u3', 'u4'].map((name) => ({ name, client: stack.as(name) }));
    await Promise.all(
      users.map(async ({ name, client }) => {
        const chat = await client.chat();
        for (let n = 0; n < 3; n++) await client.turn(chat.id, `${name} asks ${n}`);
        const { body } = await client.get(`/api/v1/chats/${chat.id}/messages`);
        const asked = body.data.filter((message: any) => message.role === 'user');
        expect(asked.map((message: any) => message.content)).toEqual([0, 1, 2].map((n) => `${name} asks ${n}`));
      }),
    );
    for (const { name } of users) {
      for (const call of await stack.model.calls(`${name} asks`)) {
        for (const other of users)
          if (other.name !== name) expect(JSON.stringify(call)).not.toContain(`${other.name} asks`);
      }
    }
  });
});

/** Every row that requests create or change, of one user or of all. */
async function everything(stack: Stack, whose = 'IS NOT NULL'): Promise<unknown> {
  const selects = [
    `SELECT * FROM chats WHERE user_id ${whose} ORDER BY id`,
    `SELECT m.* FROM messages m JOIN chats c ON c.id = m.chat_id WHERE c.user_id ${whose} ORDER BY m.id`,
    `SELECT * FROM jobs WHERE user_id ${whose} ORDER BY id`,
    `SELECT * FROM idempotency_keys WHERE user_id ${whose} ORDER BY user_id, key`,
    // Rows of other users' rates go by themselves once they are of no use.
    `SELECT * FROM callers WHERE user_id = 'eve'`,
    `SELECT * FROM receipts WHERE user_id ${whose} ORDER BY id`,
    `SELECT paused FROM dispatch`,
  ];
  return (await Promise.all(selects.map((select) => stack.database.query(select)))).map(({ rows }) => rows);
}
