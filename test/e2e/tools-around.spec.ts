import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { Client } from '../support/client.js';
import { collect, openStream, type StreamEvent, textOf } from '../support/events.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { clientTool, giveTools, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';
import { until } from '../support/until.js';

describe('around a turn with tools', () => {
  let stack: Stack;
  let tools: Tools;
  let ops: Client;
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
    await giveTools(stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'refund_order', { approval: 'always' }),
      clientTool('pick_date', { approval: 'always' }),
    ]);
    await giveTools(stack, 'general', [
      { run: 'provider', type: 'web_search_20250305', name: 'web_search', max_uses: 2 },
    ]);
  });
  afterAll(async () => {
    await tools.stop();
    // One of the chats is deleted, and the ledger no longer leads to its turn: a sweep would find its call without an entry.
    await stack.stop();
  });

  const follow = async (user: string, jobId: string, from?: string): Promise<StreamEvent[]> =>
    collect(
      await openStream(stack.api.url, tokenFor(user), `/api/v1/jobs/${jobId}/events`, {
        headers: from === undefined ? {} : { 'last-event-id': from },
      }),
    );
  const waiting = async (name: string, text: string) => {
    const user = stack.as(name);
    const { body } = await user.turn((await user.chat()).id, text);
    const [call] = body.required_action.tool_calls;
    return { user, job: body, path: `/api/v1/jobs/${body.id}/tool-calls/${call.id}`, call };
  };

  it('a stream that is resumed after any of its events loses and doubles no text, and has every call in its last state', async () => {
    const user = stack.as('ana');
    const job = await user.turnAsync(
      (await user.chat()).id,
      'use find_order then use refund_order then use find_order',
    );
    const live = follow('ana', job.id);
    await until(
      async () => (await user.get(`/api/v1/jobs/${job.id}`)).body.status === 'requires_action',
      'the question',
    );
    const { body } = await user.get(`/api/v1/jobs/${job.id}`);
    const path = `/api/v1/jobs/${job.id}/tool-calls/${body.required_action.tool_calls[0].id}`;
    await user.patch(path, { decision: 'approve' });
    const events = await live;
    const whole = textOf(events);
    const final = await user.finalJob(job.id);
    expect(whole).toBe(final.assistant_message?.content);
    expect(events.filter(({ event }) => event === 'reset')).toEqual([]);
    const { data: calls } = (await user.get(`/api/v1/jobs/${job.id}/tool-calls`)).body;
    for (const [n, { id }] of events.entries()) {
      if (id === 'end') continue;
      const had = textOf(events.slice(0, n + 1));
      const rest = await follow('ana', job.id, id);
      expect([id, textOf(rest, had)]).toEqual([id, whole]);
      expect(rest.filter(({ event }) => event === 'tool_call').map(({ data }) => data)).toEqual(calls);
      expect(rest.at(-1)).toMatchObject({ id: 'end', data: { status: 'succeeded' } });
    }
  });

  it('a turn sent again with its key answers with the job that waits, and with the reply once it is there', async () => {
    const user = stack.as('ben');
    const chat = (await user.chat()).id;
    const headers = { 'idempotency-key': 'refund-1' };
    const first = await user.turn(chat, 'use refund_order', headers);
    const again = await user.turn(chat, 'use refund_order', headers);
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect((await user.turn(chat, 'another')).body.code).toBe('turn_in_progress');
    const [call] = first.body.required_action.tool_calls;
    await user.patch(`/api/v1/jobs/${first.body.id}/tool-calls/${call.id}`, { decision: 'approve' });
    await user.finalJob(first.body.id);
    expect(await user.turn(chat, 'use refund_order', headers)).toMatchObject({
      status: 200,
      body: { job_id: first.body.id },
    });
    expect(tools.requests.filter(({ name, callId }) => name === 'refund_order' && callId === call.id)).toHaveLength(1);
  });

  it('a poll that waits is answered when a person is needed', async () => {
    const user = stack.as('cyd');
    const job = await user.turnAsync((await user.chat()).id, 'use refund_order');
    const { body, headers } = await user.get(`/api/v1/jobs/${job.id}`, { headers: { prefer: 'wait=30' } });
    expect(body.status).toBe('requires_action');
    expect(headers.get('retry-after')).toBe('1');
    await user.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
  });

  it('a job waits from the moment at which anybody can know of its call, if nothing else is left to run', async () => {
    const user = stack.as('nia');
    const announced: string[] = [];
    const listener = new pg.Client(stack.databaseUrl);
    await listener.connect();
    listener.on('notification', ({ payload = '' }) => announced.push(payload));
    await listener.query('LISTEN rejoinder_jobs');
    const { body } = await user.turn((await user.chat()).id, 'use refund_order and pick_date');
    expect(body).toMatchObject({ status: 'requires_action', required_action: { tool_calls: [{}, {}] } });
    await until(async () => announced.includes(`${body.id} requires_action`), 'the notice').finally(() =>
      listener.end(),
    );
    // Each notice makes readers look. One between the calls and the wait would show calls that await, of a job that does not.
    expect(announced.filter((notice) => notice.startsWith(body.id))).toEqual([
      `${body.id} running`,
      `${body.id} requires_action`,
    ]);
    await user.patch(`/api/v1/jobs/${body.id}`, { status: 'canceled' });
  });

  it('a tool of the front-end that wants an approval, too, awaits the result after it', async () => {
    const { user, job, path } = await waiting('dan', 'use pick_date');
    expect((await user.patch(path, { decision: 'approve' })).body.status).toBe('awaiting_result');
    expect((await user.get(`/api/v1/jobs/${job.id}`)).body.required_action.tool_calls[0].status).toBe(
      'awaiting_result',
    );
    const result = { content: { day: 1, note: 'NUL \0 and half \ud83d' } };
    const given = await user.patch(path, { result });
    expect(given.body).toMatchObject({ status: 'succeeded', result: expect.stringContaining('"day":1') });
    expect((await user.patch(path, { result })).status).toBe(200);
    expect((await user.patch(path, { result: { content: 'other' } })).status).toBe(409);
    expect((await user.finalJob(job.id)).status).toBe('succeeded');
  });

  it('an error of the front-end reaches the model as one', async () => {
    const { user, job, path } = await waiting('eli', 'use pick_date');
    await user.patch(path, { decision: 'approve' });
    expect(
      (await user.patch(path, { result: { content: 'The calendar is closed.', is_error: true } })).body.status,
    ).toBe('failed');
    await user.finalJob(job.id);
    const call = (await stack.model.allCalls()).findLast(({ messages }) =>
      JSON.stringify(messages).includes('calendar is closed'),
    );
    expect(JSON.stringify(call?.messages)).toContain('"is_error":true');
  });

  it('operators see for whom a job waits and since when, and decide in the place of its user', async () => {
    const { user, job, call } = await waiting('fay', 'use refund_order');
    const { body } = await ops.get(`/api/v1/admin/jobs/${job.id}`);
    expect(body.why).toMatchObject({ code: 'waiting_for_person', message: expect.stringContaining('refund_order') });
    expect(
      (await ops.get('/api/v1/admin/jobs?status=requires_action')).body.data.map(({ id }: { id: string }) => id),
    ).toContain(job.id);
    const path = `/api/v1/admin/jobs/${job.id}/tool-calls`;
    expect((await ops.get(path)).body.data).toMatchObject([{ id: call.id, status: 'awaiting_approval' }]);
    expect((await user.get(path)).status).toBe(404);
    expect((await user.patch(`${path}/${call.id}`, { decision: 'approve' })).status).toBe(404);
    expect((await ops.patch(`${path}/${call.id}`, { decision: 'approve' })).status).toBe(200);
    expect((await user.finalJob(job.id)).status).toBe('succeeded');
    const { rows } = await stack.database.query('SELECT decided_by FROM tool_calls WHERE id = $1', [call.id]);
    expect(rows).toEqual([{ decided_by: 'ops' }]);
    expect(stack.api.output()).not.toContain('"find_order');
  });

  it('no log line has an input, a result or a reason', async () => {
    const { user, job, path } = await waiting('gus', 'use refund_order {"order_id":"unmistakable-input"}');
    await user.patch(path, { decision: 'deny', reason: 'unmistakable-reason' });
    await user.finalJob(job.id);
    tools.answer('find_order', () => 'unmistakable-result');
    await user.turn(job.chat_id, 'use find_order');
    tools.answer('find_order', () => 'find_order done');
    const logs = [stack.api, ...stack.workers].map((app) => app.output()).join('\n');
    expect(logs).not.toMatch(/unmistakable/);
    expect(logs).toContain('a tool call has ended');
  });

  it('an export has the parts, and a deletion ends what waits and leaves no call behind', async () => {
    const { user, job } = await waiting('hal', 'use find_order and refund_order');
    await user.turn((await user.chat('billing')).id, 'hello');
    expect((await user.request('DELETE', `/api/v1/chats/${job.chat_id}`)).status).toBe(204);
    expect((await user.get(`/api/v1/jobs/${job.id}/tool-calls`)).status).toBe(404);
    await until(async () => {
      const { rows } = await stack.database.query('SELECT FROM tool_calls WHERE job_id = $1', [job.id]);
      return rows.length === 0;
    }, 'the end of its rows');
    const ina = stack.as('ina');
    const chat = (await ina.chat()).id;
    await ina.turn(chat, 'use find_order');
    await ina.turn(chat, 'use find_order and refund_order');
    const { body } = await ina.get('/api/v1/me/export');
    const lines = String(body)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(String(body)).toContain('"type":"tool_call"');
    const [done, open] = lines.flatMap(({ type, job: exported }) => (type === 'job' ? [exported] : []));
    expect(done).not.toHaveProperty('tool_calls');
    expect(open.tool_calls.map(({ status }: { status: string }) => status)).toEqual(['succeeded', 'awaiting_approval']);
    await ina.patch(`/api/v1/jobs/${open.id}`, { status: 'canceled' });
  });

  it('a page that waits for nobody costs no query for tool calls', async () => {
    const user = stack.as('jon');
    const { body } = await user.turn((await user.chat('billing')).id, 'a plain question');
    const job = (await user.get(`/api/v1/jobs/${body.job_id}`)).body;
    expect(job).not.toHaveProperty('step');
    expect(job).not.toHaveProperty('required_action');
    expect(body.assistant_message).not.toHaveProperty('parts');
  });

  it('a tool of the provider runs on its side, and its citations are sources of the reply', async () => {
    const user = stack.as('kai');
    const chat = (await user.chat('general')).id;
    const { status, body } = await user.turn(chat, 'use web_search {"query":"weather"}');
    expect(status).toBe(200);
    const parts = body.assistant_message.parts as { type: string; url?: string; text?: string }[];
    expect(parts.find(({ type }) => type === 'source')).toMatchObject({ url: expect.stringMatching(/^https?:/) });
    expect(parts.flatMap(({ type, text }) => (type === 'text' ? [text] : [])).join('')).toBe(
      body.assistant_message.content,
    );
    const paused = await user.turn(chat, 'use web_search with a pause');
    expect(paused.status).toBe(200);
    expect((await user.get(`/api/v1/jobs/${paused.body.job_id}`)).body.step).toBe(1);
    expect((await user.turn(chat, 'thank you')).status).toBe(200);
    const call = (await stack.model.allCalls()).findLast(({ asked }) => asked.includes('thank you'));
    expect(JSON.stringify(call)).toContain('"max_uses":2');
  });

  it('a turn that fails after its tools ran leaves what was done in the chat, and is not put back', async () => {
    const user = stack.as('lou');
    const chat = (await user.chat()).id;
    const text = 'fails later: use find_order';
    tools.answer('find_order', async () => {
      await stack.model.script(text, { status: 400, error_type: 'invalid_request_error', message: 'no' }, 1);
      return 'find_order done';
    });
    const failed = await user.turn(chat, text);
    tools.answer('find_order', () => 'find_order done');
    expect([failed.status, failed.body.job_error]).toEqual([502, 'model_rejected']);
    const job = (await user.get(`/api/v1/jobs/${failed.body.job_id}`)).body;
    expect(job.assistant_message).toMatchObject({ status: 'incomplete', stop_reason: 'failed' });
    expect((await ops.patch(`/api/v1/admin/jobs/${job.id}`, { status: 'queued' })).status).toBe(409);
    expect((await user.turn(chat, 'go on without it')).status).toBe(200);
  });
});
