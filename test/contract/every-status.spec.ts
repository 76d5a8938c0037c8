import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, contract, judge, seen } from '../support/client.js';
import type { ContractOperation } from '../support/contract.js';
import { onServer } from '../support/database.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { clientTool, giveTools } from '../support/tools.js';
import { until } from '../support/until.js';
import { wire, wireBody } from '../support/wire.js';

const NOBODYS = '0199a0de-0000-7000-8000-000000000000';

/** A body that each operation accepts. */
const BODIES: Record<string, object> = {
  openChat: {},
  updateChat: { title: 'T' },
  createMessage: { content: 'by the way' },
  createAssistantChatMessage: { content: 'by the way' },
  createTurn: { user_message: 'hello' },
  createAssistantChatTurn: { user_message: 'hello' },
  updateJob: { status: 'canceled' },
  updateAdminJob: { status: 'queued' },
  updateAdminChat: { status: 'active' },
  updateDispatch: { paused: false },
  updateToolCall: { decision: 'approve' },
  updateAdminToolCall: { decision: 'approve' },
};

/** A query that an operation needs. */
const QUERIES: Record<string, string> = { listAdminChats: '?user=ana' };

/**
 * Provokes every status of every operation, so that the contract promises none that never comes. The contract checks each answer's content;
 * this counts the statuses.
 */
describe('every operation answers with every status the contract gives it', () => {
  let stack: Stack;
  let ana: Client;
  let chatId: string;
  let jobId: string;
  let receiptId: string;
  let waitingJobId: string;
  let callId: string;
  beforeAll(async () => {
    stack = await startStack();
    await giveTools(stack, 'general', [clientTool('pick_date', { approval: 'always' })]);
    // An operator, who also is an ordinary user.
    ana = new Client(stack.api.url, tokenFor('ana', { scope: 'admin' }));
    chatId = (await ana.chat()).id;
    jobId = (await ana.turn(chatId, 'hello')).body.job_id;
    // Two calls that wait for a person, so that deciding one leaves the job waiting.
    const waiting = (await ana.turn((await ana.chat('general')).id, 'use pick_date and pick_date')).body;
    waitingJobId = waiting.id;
    callId = waiting.required_action.tool_calls[0].id;
    const zoe = stack.as('zoe');
    await zoe.chat();
    receiptId = (await zoe.request('DELETE', '/api/v1/me')).body.id;
  });
  afterAll(() => stack.stop());

  const having = (status: number): ContractOperation[] =>
    contract.operations.filter(({ statuses }) => statuses.includes(status));
  const pathOf = (
    { id, path }: ContractOperation,
    ids: { slug?: string; chat?: string; job?: string; call?: string; receipt?: string; user?: string } = {},
  ): string =>
    path
      .replace('{slug}', ids.slug ?? 'support')
      .replace('{chat_id}', ids.chat ?? chatId)
      .replace('{job_id}', ids.job ?? (path.includes('{call_id}') ? waitingJobId : jobId))
      .replace('{call_id}', ids.call ?? callId)
      .replace('{receipt_id}', ids.receipt ?? receiptId)
      .replace('{user}', ids.user ?? 'zoe') + (QUERIES[id] ?? '');
  const bodyOf = ({ id }: ContractOperation): object | undefined =>
    id === 'requestReply' ? { chat_id: chatId } : BODIES[id];
  const statusesOf = async (
    operations: ContractOperation[],
    ask: (operation: ContractOperation) => Promise<{ status: number }>,
  ): Promise<Record<string, number>> => {
    const answers: Record<string, number> = {};
    for (const operation of operations) answers[operation.id] = (await ask(operation)).status;
    return answers;
  };
  const all = (operations: ContractOperation[], status: number): Record<string, number> =>
    Object.fromEntries(operations.map(({ id }) => [id, status]));

  it('400 to unreadable requests', async () => {
    const answers = await statusesOf(having(400), async (operation) => {
      if (operation.hasBody) {
        const headers = { 'content-type': 'application/json' };
        return ana.request(operation.method, pathOf(operation), { raw: '{"user_message":', headers });
      }
      const request = `${operation.method} ${pathOf(operation)} HTTP/1.1\r\nHost: x\r\nBroken header\r\n\r\n`;
      const answer = await wire(stack.api.url, request);
      const [head = ''] = answer.split('\r\n\r\n');
      const status = Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]);
      const headers = new Headers(
        head
          .split('\r\n')
          .slice(1)
          .map((line) => line.split(': ', 2) as [string, string]),
      );
      judge({
        method: operation.method,
        path: pathOf(operation).replace(/\?.*/, ''),
        status,
        headers,
        body: wireBody(answer),
      });
      return { status };
    });
    expect(answers).toEqual(all(having(400), 400));
  });

  it('401 without a token', async () => {
    const nobody = new Client(stack.api.url, undefined);
    const ask = (operation: ContractOperation) =>
      nobody.request(operation.method, pathOf(operation), { body: bodyOf(operation) });
    expect(await statusesOf(having(401), ask)).toEqual(all(having(401), 401));
  });

  it('404 for what does not exist', async () => {
    // Only operators' operations that name a thing can answer 404 to them.
    const named = having(404).filter(({ path }) => !/\/admin\/\w+$/.test(path));
    const ask = (operation: ContractOperation) =>
      operation.id === 'requestReply'
        ? ana.post(operation.path, { chat_id: NOBODYS })
        : ana.request(
            operation.method,
            pathOf(operation, {
              slug: 'nobody',
              chat: NOBODYS,
              job: NOBODYS,
              call: NOBODYS,
              receipt: NOBODYS,
              user: '%00',
            }),
            { body: bodyOf(operation) },
          );
    expect(await statusesOf(named, ask)).toEqual(all(named, 404));
  });

  it('404 to operators’ operations without their scope', async () => {
    const operators = contract.operations.filter(({ path }) => path.startsWith('/api/v1/admin/'));
    expect(operators.length).toBeGreaterThan(5);
    const ask = (operation: ContractOperation) =>
      stack.as('ben').request(operation.method, pathOf(operation), { body: bodyOf(operation) });
    expect(await statusesOf(operators, ask)).toEqual(all(operators, 404));
  });

  it('406 to a client that does not take JSON', async () => {
    const headers = { accept: 'text/html' };
    const ask = (operation: ContractOperation) =>
      ana.request(operation.method, pathOf(operation), { body: bodyOf(operation), headers });
    expect(await statusesOf(having(406), ask)).toEqual(all(having(406), 406));
  });

  it('413 to a body beyond the bound, 415 to one of another type, 422 to unknown fields', async () => {
    const sending = (type: string, raw: string) => (operation: ContractOperation) =>
      ana.request(operation.method, pathOf(operation), { raw, headers: { 'content-type': type } });
    const large = sending('application/json', `{"x":"${'x'.repeat(300_000)}"}`);
    expect(await statusesOf(having(413), large)).toEqual(all(having(413), 413));
    expect(await statusesOf(having(415), sending('text/plain', 'hello'))).toEqual(all(having(415), 415));
    const unknown = sending('application/json', '{"unknown":1}');
    const ask = (operation: ContractOperation) =>
      operation.hasBody
        ? unknown(operation)
        : ana.request(operation.method, `${pathOf(operation)}${operation.id in QUERIES ? '&' : '?'}unknown=1`);
    expect(await statusesOf(having(422), ask)).toEqual(all(having(422), 422));
  });

  it('304 to a client that has the present version', async () => {
    const ask = async (operation: ContractOperation) => {
      const { headers } = await ana.get(pathOf(operation));
      return ana.get(pathOf(operation), { headers: { 'if-none-match': headers.get('etag') ?? '' } });
    };
    expect(await statusesOf(having(304), ask)).toEqual(all(having(304), 304));
  });

  it('412 to a client that has seen another version', async () => {
    const headers = { 'if-match': '"other"' };
    const ask = (operation: ContractOperation) =>
      ana.request(operation.method, pathOf(operation), { body: bodyOf(operation), headers });
    expect(await statusesOf(having(412), ask)).toEqual(all(having(412), 412));
  });

  it('204 to a client that has the end of a stream', async () => {
    const streams = having(204).filter(({ method }) => method !== 'DELETE');
    const ask = async (operation: ContractOperation) => {
      const headers = { accept: 'text/event-stream', 'idempotency-key': operation.id };
      if (operation.method === 'POST')
        await ana.post(pathOf(operation), bodyOf(operation), { 'idempotency-key': operation.id });
      const seenAll = { ...headers, 'last-event-id': 'end' };
      return ana.request(operation.method, pathOf(operation), { body: bodyOf(operation), headers: seenAll });
    };
    expect(await statusesOf(streams, ask)).toEqual(all(streams, 204));
  });

  it('200, 201 and 202 when all is well', async () => {
    const ben = stack.as('ben');
    const created = await ben.post('/api/v1/assistants/billing/chats');
    expect(created.status).toBe(201);
    const chat = created.body.id as string;
    for (const base of [`/api/v1/chats/${chat}`, `/api/v1/assistants/billing/chats/${chat}`]) {
      expect((await ben.post(`${base}/messages`, { content: 'by the way' })).status).toBe(201);
      expect((await ben.post(`${base}/turns`, { user_message: 'hello' })).status).toBe(200);
      const accepted = await ben.post(`${base}/turns`, { user_message: 'hello' }, { prefer: 'respond-async' });
      expect(accepted.status).toBe(202);
      await ben.finalJob(accepted.body.id as string);
    }
    await ben.post(`/api/v1/chats/${chat}/messages`, { content: 'what about this?' });
    await stack.model.script('what about this', { delay_ms: 5_000 });
    const job = await ben.post('/api/v1/jobs/assistant-reply', { chat_id: chat });
    expect(job.status).toBe(202);
    expect((await ben.patch(`/api/v1/jobs/${job.body.id}`, { status: 'canceled' })).status).toBe(200);
    expect((await ben.patch(`/api/v1/chats/${chat}`, { title: 'Bills' })).status).toBe(200);
    const reads = having(200).filter(({ method }) => method === 'GET');
    expect(await statusesOf(reads, (operation) => ana.get(pathOf(operation)))).toEqual(all(reads, 200));
    expect((await ben.post('/api/v1/assistants/billing/chats')).status).toBe(200);
    expect((await ana.patch('/api/v1/admin/dispatch', { paused: false })).status).toBe(200);
    for (const base of ['/api/v1/jobs', '/api/v1/admin/jobs']) {
      const path = `${base}/${waitingJobId}/tool-calls/${callId}`;
      expect((await ana.patch(path, { decision: 'approve' })).status).toBe(200);
    }
    expect((await ben.request('DELETE', `/api/v1/chats/${chat}`)).status).toBe(204);
    await ben.chat();
    expect((await ben.request('DELETE', '/api/v1/me', { headers: { prefer: 'respond-async' } })).status).toBe(202);
    expect((await ben.request('DELETE', '/api/v1/me')).status).toBe(200);
    expect((await ana.patch(`/api/v1/admin/chats/${chatId}`, { status: 'active' })).status).toBe(200);
    await ben.chat();
    const user = '/api/v1/admin/users/ben';
    expect((await ana.request('DELETE', user, { headers: { prefer: 'respond-async' } })).status).toBe(202);
    expect((await ana.request('DELETE', user)).status).toBe(200);
  });

  it('409 to requests that the present state does not allow', async () => {
    const eva = stack.as('eva');
    const chat = (await eva.chat()).id;
    await stack.model.script('slowly', { delay_ms: 3_000 });
    const job = await eva.turnAsync(chat, 'slowly');
    for (const base of [`/api/v1/chats/${chat}`, `/api/v1/assistants/support/chats/${chat}`]) {
      expect((await eva.post(`${base}/messages`, { content: 'x' })).body.code).toBe('turn_in_progress');
      expect((await eva.post(`${base}/turns`, { user_message: 'x' })).body.code).toBe('turn_in_progress');
    }
    expect((await eva.post('/api/v1/jobs/assistant-reply', { chat_id: chat })).body.code).toBe('turn_in_progress');
    await eva.finalJob(job.id);
    expect((await eva.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' })).body.code).toBe('invalid_transition');
    for (const base of ['/api/v1/jobs', '/api/v1/admin/jobs']) {
      const path = `${base}/${waitingJobId}/tool-calls/${callId}`;
      expect((await ana.patch(path, { decision: 'deny' })).body.code).toBe('tool_call_decided');
    }
    const requeued = await ana.patch(`/api/v1/admin/jobs/${job.id}`, { status: 'queued' });
    expect(requeued.body.code).toBe('invalid_transition');
    await eva.patch(`/api/v1/chats/${chat}`, { status: 'closed' });
    expect((await eva.patch(`/api/v1/chats/${chat}`, { status: 'active' })).body.code).toBe('invalid_transition');
    const opened = await ana.patch(`/api/v1/admin/chats/${chat}`, { status: 'active' });
    expect(opened.body.code).toBe('invalid_transition');
  });

  it('429 to a user beyond a limit', async () => {
    const mia = new Client(stack.api.url, tokenFor('mia', { scope: 'admin' }));
    const chat = (await mia.chat()).id;
    const { job_id: job } = (await mia.turn(chat, 'hello')).body as { job_id: string };
    await mia.post(`/api/v1/chats/${chat}/messages`, { content: 'and this?' });
    await stack.database.query(`UPDATE callers SET turns_until = now() + interval '1 hour' WHERE user_id = 'mia'`);
    await stack.database.query(
      `WITH holder AS (INSERT INTO stream_holders VALUES (gen_random_uuid(), now() + interval '1 hour') RETURNING process)
       INSERT INTO open_streams SELECT 'mia', process, 1000 FROM holder`,
    );
    const ask = (operation: ContractOperation) =>
      // An existing chat is found all the same.
      mia.request(operation.method, pathOf(operation, { chat, job }).replace(/support\/chats$/, 'billing/chats'), {
        body: operation.id === 'requestReply' ? { chat_id: chat } : bodyOf(operation),
      });
    expect(await statusesOf(having(429), ask)).toEqual(all(having(429), 429));
  });

  it('502 for a reply that failed while the request waited', async () => {
    const kim = stack.as('kim');
    const chat = (await kim.chat()).id;
    await stack.model.script('refused', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    for (const base of [`/api/v1/chats/${chat}`, `/api/v1/assistants/support/chats/${chat}`]) {
      expect((await kim.post(`${base}/turns`, { user_message: 'refused' })).status).toBe(502);
    }
    const [{ id }] = (await ana.get(`/api/v1/admin/jobs?chat=${chat}`)).body.data;
    expect((await ana.patch(`/api/v1/admin/jobs/${id}`, { status: 'queued' })).status).toBe(200);
    await kim.finalJob(id);
  });

  it('500 for a fault of the service, without details', async () => {
    const ask = (operation: ContractOperation) =>
      ana.request(operation.method, pathOf(operation), { body: bodyOf(operation) });
    const tables = ['assistants', 'chats', 'jobs', 'receipts', 'dispatch', 'model_calls'];
    for (const table of tables) await stack.database.query(`ALTER TABLE ${table} RENAME TO ${table}_away`);
    try {
      expect(await statusesOf(having(500), ask)).toEqual(all(having(500), 500));
      const { body } = await ana.get('/api/v1/chats');
      expect(JSON.stringify(body)).not.toMatch(/relation|chats|select/i);
    } finally {
      for (const table of tables) await stack.database.query(`ALTER TABLE ${table}_away RENAME TO ${table}`);
    }
    expect((await ana.get('/api/v1/chats')).status).toBe(200);
  });

  it('503 while the database is away, and recovers by itself', async () => {
    const ask = (operation: ContractOperation) =>
      ana.request(operation.method, pathOf(operation), { body: bodyOf(operation) });
    await onServer(async (server) => {
      await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS false`);
      await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
        stack.databaseName,
      ]);
      try {
        expect(await statusesOf(having(503), ask)).toEqual(all(having(503), 503));
      } finally {
        await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS true`);
      }
    });
    await until(async () => (await ana.get('/health/ready')).status === 200, 'the database');
    const chat = await stack.as('leo').chat();
    expect((await stack.as('leo').turn(chat.id, 'still there?')).status).toBe(200);
  });

  it('and leaves out none', () => {
    const promised = contract.operations.flatMap(({ id, statuses }) => statuses.map((status) => `${id} ${status}`));
    expect(promised.filter((status) => !seen.has(status))).toEqual([]);
  });
});
