import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { collect, openStream, type StreamEvent, textOf } from '../support/events.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { clientTool, giveTools, httpTool, startTools, type Tools, TOOLS_SECRET } from '../support/tools.js';

describe('a turn with tools', () => {
  let stack: Stack;
  let tools: Tools;
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    await giveTools(stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'opening_hours'),
      httpTool(tools, 'refund_order', { approval: 'always' }),
      clientTool('pick_date', { result_schema: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\d$' } }),
    ]);
  });
  afterAll(async () => {
    await tools.stop();
    await stopSound(stack);
  });

  it('calls the tool and gives the model its result, which the reply keeps as a part', async () => {
    const ana = stack.as('ana');
    const { id } = await ana.chat();
    tools.answer('find_order', ({ input }) => ({ order: input['order_id'], state: 'delivered' }));
    const { status, body } = await ana.turn(id, 'use find_order {"order_id":"4711"}');
    expect([status, body]).toEqual([200, expect.anything()]);
    const call = expect.objectContaining({
      step: 1,
      name: 'find_order',
      input: { order_id: '4711' },
      status: 'succeeded',
      result: '{"order":"4711","state":"delivered"}',
      is_error: false,
    });
    expect(body.assistant_message.parts).toContainEqual({ type: 'tool_call', tool_call: call });
    expect(body.assistant_message.content).toContain('delivered');
    expect((await ana.get(`/api/v1/jobs/${body.job_id}/tool-calls`)).body.data).toEqual([call]);
    // The next turn has the call in its history, and the model accepts it.
    expect((await ana.turn(id, 'thank you')).status).toBe(200);
  });

  it('makes parallel calls, and further steps', async () => {
    const ben = stack.as('ben');
    const { id } = await ben.chat();
    const { body } = await ben.turn(id, 'use find_order and opening_hours then use find_order');
    const calls = (await ben.get(`/api/v1/jobs/${body.job_id}/tool-calls`)).body.data as {
      step: number;
      name: string;
    }[];
    expect(calls.map(({ step, name }) => `${step} ${name}`)).toEqual([
      '1 find_order',
      '1 opening_hours',
      '2 find_order',
    ]);
    expect((await ben.get(`/api/v1/jobs/${body.job_id}`)).body).toMatchObject({ status: 'succeeded', step: 2 });
    expect((await ben.turn(id, 'and again: use find_order')).status).toBe(200);
  });

  it('waits for an approval without a slot, and goes on after it', async () => {
    const cyd = stack.as('cyd');
    const { id } = await cyd.chat();
    const { status, body } = await cyd.turn(id, 'use refund_order {"order_id":"1"}');
    expect([status, body.status]).toEqual([202, 'requires_action']);
    const [call] = body.required_action.tool_calls;
    expect(call).toMatchObject({ name: 'refund_order', status: 'awaiting_approval', result: null });
    const before = tools.requests.filter(({ name }) => name === 'refund_order').length;
    expect(before).toBe(0);
    const path = `/api/v1/jobs/${body.id}/tool-calls/${call.id}`;
    expect((await cyd.patch(path, { decision: 'approve' })).status).toBe(200);
    const job = await cyd.finalJob(body.id);
    expect(job).toMatchObject({ status: 'succeeded' });
    expect(job.assistant_message?.content).toContain('refund_order done');
    expect(tools.requests.filter(({ name }) => name === 'refund_order')).toHaveLength(1);
    expect((await cyd.patch(path, { decision: 'approve' })).status).toBe(200);
    expect(await cyd.patch(path, { decision: 'deny' })).toMatchObject({
      status: 409,
      body: { code: 'tool_call_decided' },
    });
  });

  it('tells the model that a person denied a call', async () => {
    const dan = stack.as('dan');
    const { id } = await dan.chat();
    const { body } = await dan.turn(id, 'use refund_order {"order_id":"2"}');
    const [call] = body.required_action.tool_calls;
    const denied = await dan.patch(`/api/v1/jobs/${body.id}/tool-calls/${call.id}`, {
      decision: 'deny',
      reason: 'Too dear.',
    });
    expect(denied).toMatchObject({ status: 200, body: { status: 'denied', reason: 'Too dear.', is_error: true } });
    expect((await dan.finalJob(body.id)).assistant_message?.content).toMatch(/denied/i);
  });

  it('waits for the result of the front-end, and refuses one that does not match', async () => {
    const eve = stack.as('eve');
    const { id } = await eve.chat();
    const { body } = await eve.turn(id, 'use pick_date');
    const [call] = body.required_action.tool_calls;
    expect(call).toMatchObject({ status: 'awaiting_result', result_schema: { type: 'string' } });
    const path = `/api/v1/jobs/${body.id}/tool-calls/${call.id}`;
    expect((await eve.patch(path, { result: { content: 'tomorrow' } })).status).toBe(422);
    expect((await eve.patch(path, { decision: 'approve' })).status).toBe(409);
    const given = await eve.patch(path, { result: { content: '2026-12-01' } });
    expect(given).toMatchObject({ status: 200, body: { status: 'succeeded', result: '2026-12-01' } });
    expect((await eve.finalJob(body.id)).assistant_message?.content).toContain('2026-12-01');
  });

  it('streams each call as it changes, over the decision to the end', async () => {
    const fay = stack.as('fay');
    const { id } = await fay.chat();
    const job = await fay.turnAsync(id, 'use find_order and refund_order');
    const stream = await openStream(stack.api.url, tokenFor('fay'), `/api/v1/jobs/${job.id}/events`);
    const events: Promise<StreamEvent[]> = collect(stream);
    let waiting = await fay.get(`/api/v1/jobs/${job.id}`);
    while (waiting.body.status !== 'requires_action') {
      await new Promise((resolve) => setTimeout(resolve, 50));
      waiting = await fay.get(`/api/v1/jobs/${job.id}`);
    }
    const [call] = waiting.body.required_action.tool_calls;
    await fay.patch(`/api/v1/jobs/${job.id}/tool-calls/${call.id}`, { decision: 'approve' });
    const all = await events;
    const states = all.filter(({ event }) => event === 'tool_call').map(({ data }) => `${data.name} ${data.status}`);
    expect(states.at(0)).toMatch(/^find_order /);
    expect(states).toContain('refund_order awaiting_approval');
    expect(states).toContain('find_order succeeded');
    expect(states).toContain('refund_order succeeded');
    const message = all.find(({ event }) => event === 'message');
    expect(textOf(all)).toBe(message?.data.content);
    expect(all.at(-1)).toMatchObject({ event: 'job', id: 'end', data: { status: 'succeeded' } });
  });

  it('ends at a cancel while it waits, and leaves a history that the model accepts', async () => {
    const gus = stack.as('gus');
    const { id } = await gus.chat();
    const { body } = await gus.turn(id, 'use find_order and refund_order');
    const canceled = await gus.patch(`/api/v1/jobs/${body.id}`, { status: 'canceled' });
    expect(canceled.body).toMatchObject({ status: 'canceled', assistant_message: { status: 'incomplete' } });
    const calls = (await gus.get(`/api/v1/jobs/${body.id}/tool-calls`)).body.data;
    expect(calls.map(({ status }: { status: string }) => status)).toEqual(['succeeded', 'canceled']);
    expect((await gus.turn(id, 'never mind')).status).toBe(200);
  });
});
