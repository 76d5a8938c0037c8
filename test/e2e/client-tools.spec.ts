import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  answerTools,
  isFinal,
  isWaiting,
  type Job,
  type JobEvent,
  type JobEvents,
  Rejoinder,
  type RejoinderOptions,
  type ToolCall,
  TurnError,
  type WaitingJob,
} from '@rejoinder/client';
import { BadLine, type Fault } from '../support/bad-line.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { clientTool, giveTools, httpTool, startTools, type Tools } from '../support/tools.js';
import { until } from '../support/until.js';

const TOOLS_SECRET = `whsec_${Buffer.from('a secret of the tools for tests!').toString('base64')}`;
const DATE = { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\d$' };

async function all<T>(events: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const event of events) list.push(event);
  return list;
}

/** The states of each call, in the order in which a reader learned them. */
function statesOf(events: readonly JobEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === 'tool_call' ? [`${event.toolCall.name} ${event.toolCall.status}`] : [],
  );
}

describe('the client, with tools', () => {
  let stack: Stack;
  let tools: Tools;
  const lines: BadLine[] = [];
  beforeAll(async () => {
    [stack, tools] = await Promise.all([startStack({ env: { TOOLS_SECRET } }), startTools()]);
    await giveTools(stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'refund_order', { approval: 'always' }),
      clientTool('pick_date', { result_schema: DATE }),
      clientTool('pick_color'),
      clientTool('share_place', { approval: 'always' }),
    ]);
    await giveTools(stack, 'billing', [clientTool('pick_date')], { actionSeconds: 1 });
  });
  afterAll(async () => {
    lines.forEach((line) => line.close());
    await tools.stop();
    await stack.stop();
  });

  const as = (user: string, options: Partial<RejoinderOptions> = {}): Rejoinder =>
    new Rejoinder({ baseUrl: stack.api.url, token: tokenFor(user), onRetry: () => undefined, ...options });
  /** A line on which each request has a connection of its own. */
  const badLine = async (faultOf: (n: number) => Fault | undefined): Promise<Partial<RejoinderOptions>> => {
    const line = await BadLine.to(stack.api.url, faultOf);
    lines.push(line);
    return {
      baseUrl: line.url,
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init?.headers, connection: 'close' } }),
    };
  };
  /** A client and its chat. */
  const chatOf = async (user: string, assistant = 'support'): Promise<{ client: Rejoinder; id: string }> => {
    const client = as(user);
    return { client, id: (await client.openChat(assistant)).id };
  };
  const waiting = async (client: Rejoinder, chatId: string, text: string): Promise<WaitingJob> => {
    const job = await client.sendTurn(chatId, text);
    if (job.type === 'turn') throw new Error('The turn did not wait.');
    return job;
  };
  const firstOf = ({ required_action }: WaitingJob): ToolCall => required_action.tool_calls[0] as ToolCall;

  it('returns the job that waits for a person, which is not final, and waits again after the decision', async () => {
    const { client, id } = await chatOf('ana');
    const job = await waiting(client, id, 'use refund_order {"order_id":"1"}');
    expect([isWaiting(job), isFinal(job), (job as Job).status]).toEqual([true, false, 'requires_action']);
    const call = firstOf(job);
    expect(await client.toolCalls(job.id)).toEqual([call]);
    expect(await client.waitForJob(job.id)).toMatchObject({ status: 'requires_action', required_action: {} });
    expect(await client.decide(job.id, call.id, 'approve')).toMatchObject({ id: call.id, name: 'refund_order' });
    const ended = await client.waitForJob(job.id);
    expect(ended).toMatchObject({ status: 'succeeded', assistant_message: { parts: expect.any(Array) } });
    const denied = await waiting(client, id, 'use refund_order {"order_id":"2"}');
    const reason = 'Not today.';
    expect(await client.decide(denied.id, firstOf(denied).id, 'deny', { reason })).toMatchObject({
      ...{ status: 'denied', reason },
    });
    await expect(client.decide(denied.id, firstOf(denied).id, 'approve')).rejects.toMatchObject({
      code: 'tool_call_decided',
    });
    await client.waitForJob(denied.id);
  });

  it('decides once and gives a result once, even if the answers are lost', async () => {
    const { client, id } = await chatOf('ben');
    const job = await waiting(client, id, 'use refund_order and pick_color');
    const [refund, color] = job.required_action.tool_calls as [ToolCall, ToolCall];
    const lossy = as('ben', await badLine((n) => ({ loseAnswer: n === 0 || n === 2 })));
    expect(await lossy.decide(job.id, refund.id, 'deny')).toMatchObject({ status: 'denied' });
    expect(await lossy.giveResult(job.id, color.id, { red: 1 })).toMatchObject({ result: '{"red":1}' });
    expect(await client.waitForJob(job.id)).toMatchObject({ status: 'succeeded' });
  });

  it('gives each state of a call once, in order, on a line that breaks again and again', async () => {
    const { client, id } = await chatOf('cyd');
    const bad = as('cyd', await badLine((n) => (n < 8 ? { cutAfter: 700 + n * 411 } : undefined)));
    const stream = bad.streamTurn(id, 'use find_order and refund_order then use find_order');
    const events: JobEvent[] = [];
    for await (const event of stream) {
      events.push(event);
      if (event.type !== 'job' || !isWaiting(event.job)) continue;
      const call = firstOf(event.job);
      if (call.status === 'awaiting_approval') void client.decide(event.job.id, call.id, 'approve');
    }
    const states = statesOf(events);
    expect(states.filter((state, n) => state === states[n - 1])).toEqual([]);
    expect(states.filter((state) => state === 'refund_order awaiting_approval')).toHaveLength(1);
    expect(states.filter((state) => state === 'refund_order succeeded')).toHaveLength(1);
    expect(states.filter((state) => state === 'find_order succeeded')).toHaveLength(2);
    expect(stream.toolCalls.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'find_order succeeded',
      'refund_order succeeded',
      'find_order succeeded',
    ]);
    expect(stream.text).toBe(stream.message?.content);
    // A later reader learns the last states.
    expect(statesOf(await all(client.followJob(stream.jobId ?? '')))).toHaveLength(3);
  });

  const PICKED = '2026-12-01';
  it.each(['stream', 'poll'] as const)('answers calls by functions, with a %s, up to the reply', async (way) => {
    const { client, id } = await chatOf(`dan-${way}`);
    const asked: string[] = [];
    const answered = answerTools(
      client,
      {
        pick_date: async (_input, { name }) => {
          asked.push(name);
          return PICKED;
        },
        pick_color: ({ order_id }: { order_id: string }) => ({ order_id }),
        share_place: () => undefined,
      },
      {
        approve: async ({ name }) => {
          asked.push(`approve ${name}`);
          return name === 'share_place' || { deny: 'Too dear.' };
        },
      },
    );
    const text = 'use pick_date and pick_color {"order_id":"7"} and refund_order and share_place then use pick_date';
    let reply: string | undefined;
    if (way === 'stream') {
      const stream: JobEvents = client.streamTurn(id, text);
      for await (const event of answered(stream)) if (event.type === 'message') reply = event.message.content;
    } else {
      const { id: jobId } = await client.startTurn(id, text);
      for await (const job of answered(client.pollJob(jobId))) reply = job.assistant_message?.content;
    }
    expect(reply).toContain(PICKED);
    expect(asked.sort()).toEqual(['approve refund_order', 'approve share_place', 'pick_date', 'pick_date']);
    const { data } = await client.listMessages(id);
    const calls = await client.toolCalls(data.at(-1)?.job_id ?? '');
    expect(calls.map(({ name, status, result, reason }) => [name, status, reason ?? result])).toEqual([
      ['pick_date', 'succeeded', PICKED],
      ['pick_color', 'succeeded', '{"order_id":"7"}'],
      ['refund_order', 'denied', 'Too dear.'],
      ['share_place', 'succeeded', 'null'],
      ['pick_date', 'succeeded', PICKED],
    ]);
  });

  it('tells the model of a function that failed, or gave what nobody can use', async () => {
    const { client, id } = await chatOf('eve');
    const loop: Record<string, unknown> = {};
    loop['itself'] = loop;
    for (const [tool, give, told] of [
      ['pick_date', () => Promise.reject(new Error('No calendar.')), 'No calendar.'],
      ['pick_date', () => 'tomorrow', /^The front-end gave a result that was refused: result.content .*pattern/],
      ['pick_color', () => loop, /circular/],
      ['pick_color', () => Promise.reject(new Error('x'.repeat(5_000))), 'x'.repeat(1_000)],
    ] as const) {
      const stream = client.streamTurn(id, `use ${tool}`);
      await all(answerTools(client, { [tool]: give })(stream));
      const match = typeof told === 'string' ? told : expect.stringMatching(told);
      expect(stream.toolCalls).toMatchObject([{ status: 'failed', is_error: true, result: match }]);
      expect(stream.job?.status).toBe('succeeded');
    }
  });

  it('leaves a call alone that it has no function for, until somebody else answers', async () => {
    const { client, id } = await chatOf('fay');
    const stream = client.streamTurn(id, 'use pick_color');
    // An object has functions of such names, too.
    const answered = answerTools(client, { toString: () => 'wrong' }, { approve: () => undefined });
    const reading = all(answered(stream));
    const call = await until(async () => stream.toolCalls[0], 'the call');
    await client.giveResult(stream.jobId ?? '', call.id, 'blue');
    await reading;
    expect(stream.toolCalls).toMatchObject([{ status: 'succeeded', result: 'blue' }]);
  });

  it('answers after a reload what still waits, and a call only once if two pages do it', async () => {
    const { client, id } = await chatOf('gus');
    const left = client.streamTurn(id, 'use pick_date');
    const forgotten = answerTools(client, { pick_date: () => new Promise(() => undefined) });
    for await (const event of forgotten(left)) if (event.type === 'job' && isWaiting(event.job)) break;
    const { unfinished_job_id } = await client.openChat('support');
    expect(unfinished_job_id).toBe(left.jobId);
    const dates = ['2026-12-01', '2026-12-02'];
    const pages = dates.map((date) => {
      const events = client.followJob(unfinished_job_id ?? '');
      return { events, read: all(answerTools(client, { pick_date: () => date })(events)) };
    });
    await Promise.all(pages.map(({ read }) => read));
    const results = pages.map(({ events }) => events.toolCalls[0]?.result);
    expect(results[0]).toBe(results[1]);
    expect(dates).toContain(results[0]);
  });

  it('tells a function that its answer is not needed any more', async () => {
    const { client, id } = await chatOf('hal');
    const signals: AbortSignal[] = [];
    const functions = {
      pick_color: (_input: unknown, _call: ToolCall, signal: AbortSignal): Promise<never> => {
        signals.push(signal);
        return new Promise(() => undefined);
      },
    };
    // Somebody else answers.
    const stream = client.streamTurn(id, 'use pick_color');
    const reading = all(answerTools(client, functions)(stream));
    await until(async () => signals[0], 'the function');
    await client.giveResult(stream.jobId ?? '', stream.toolCalls[0]?.id ?? '', 'green');
    await reading;
    // The turn ends.
    const canceled = client.streamTurn(id, 'use pick_color');
    const reads = all(answerTools(client, functions)(canceled));
    await until(async () => signals[1], 'the function');
    await client.cancelJob(canceled.jobId ?? '');
    await reads;
    expect(canceled.toolCalls).toMatchObject([{ status: 'canceled' }]);
    // The page aborts.
    const leave = new AbortController();
    const aborted = all(
      answerTools(client, functions)(client.streamTurn(id, 'use pick_color', { signal: leave.signal })),
    );
    await until(async () => signals[2], 'the function');
    leave.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true, true]);
    const { unfinished_job_id } = await client.getChat(id);
    expect(await client.getJob(unfinished_job_id ?? '')).toMatchObject({ status: 'requires_action' });
  });

  it('throws if nobody can decide, and leaves the call to others', async () => {
    const { client, id } = await chatOf('ida');
    const stream = client.streamTurn(id, 'use refund_order');
    const approve = (): never => {
      throw new Error('no dialog');
    };
    await expect(all(answerTools(client, {}, { approve })(stream))).rejects.toThrow('no dialog');
    expect(await client.waitForJob(stream.jobId ?? '')).toMatchObject({ status: 'requires_action' });
  });

  it('fails the turn when nobody answers in time, also for one who reads the reply', async () => {
    const { client, id } = await chatOf('jon', 'billing');
    const stream = client.streamTurn(id, 'use pick_date');
    await expect(stream.reply()).rejects.toMatchObject({ job: { error: { code: 'action_expired' } } });
    await expect(stream.reply()).rejects.toBeInstanceOf(TurnError);
    expect(stream.toolCalls).toMatchObject([{ status: 'expired' }]);
    expect(stream.message).toMatchObject({ stop_reason: 'failed' });
  });
});
