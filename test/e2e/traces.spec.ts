import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Collector, type ReceivedSpan } from '../support/collector.js';
import { Pace } from '../support/pace.js';
import { type Stack, startStack } from '../support/stack.js';
import { giveTools, httpTool, startTools, TOOLS_SECRET } from '../support/tools.js';
import { until } from '../support/until.js';

const CALLER = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('traces', () => {
  let collector: Collector;
  let stack: Stack;
  beforeAll(async () => {
    collector = await Collector.start();
    stack = await startStack({
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=for-the-collector',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
        OTEL_BSP_SCHEDULE_DELAY: '50',
        TOOLS_SECRET,
      },
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await collector?.stop();
  });

  const spansOf = (traceId: string, count: number): Promise<ReceivedSpan[]> =>
    until(async () => {
      const spans = collector.spans.filter((span) => span.traceId === traceId);
      return spans.length >= count && spans;
    }, `${count} spans of ${traceId}`);

  it('go from the caller’s through the request and the queue to the worker and the call of the model', async () => {
    const ana = stack.as('canary-user-qpxz');
    const chat = await ana.chat();
    await stack.model.script('canary-prompt', { text: 'canary-reply-qpxz', stop_reason: 'max_tokens' }, 1);
    const { status, body } = await ana.turn(chat.id, 'canary-prompt-qpxz', {
      traceparent: CALLER,
      'x-request-id': 'traced',
    });
    expect(status).toBe(200);
    const spans = await spansOf('4bf92f3577b34da6a3ce929d0e0e4736', 4);
    const named = (name: string): ReceivedSpan | undefined => spans.find((span) => span.name === name);
    const request = named('POST /api/v1/chats/{chat_id}/turns');
    const accepted = named('send assistant-reply');
    const attempt = named('process assistant-reply');
    const call = spans.find(({ name }) => name.startsWith('chat '));
    expect(spans).toHaveLength(4);
    expect(request).toMatchObject({
      service: 'rejoinder-api',
      kind: 2,
      parentSpanId: '00f067aa0ba902b7',
      failed: false,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/api/v1/chats/{chat_id}/turns',
        'http.response.status_code': 200,
        'rejoinder.request_id': 'traced',
      },
    });
    expect(accepted).toMatchObject({ service: 'rejoinder-api', kind: 4, parentSpanId: request?.spanId });
    expect(attempt).toMatchObject({
      service: 'rejoinder-worker',
      kind: 5,
      parentSpanId: accepted?.spanId,
      attributes: { 'messaging.message.id': body.job_id, 'rejoinder.attempt': 1, 'rejoinder.outcome': 'completed' },
    });
    const [ledger] = (await stack.database.query('SELECT * FROM model_calls WHERE job_id = $1', [body.job_id])).rows;
    expect(call).toMatchObject({
      service: 'rejoinder-worker',
      kind: 3,
      parentSpanId: attempt?.spanId,
      name: `chat ${ledger.model}`,
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'anthropic',
        'gen_ai.request.model': ledger.model,
        'gen_ai.request.max_tokens': expect.any(Number),
        'gen_ai.response.model': body.assistant_message.model,
        'gen_ai.response.id': ledger.message_id,
        'gen_ai.response.finish_reasons': ['max_tokens'],
        'gen_ai.usage.input_tokens': ledger.input_tokens,
        'gen_ai.usage.output_tokens': ledger.output_tokens,
      },
    });
  });

  it('show each attempt of a turn, and why one failed', async () => {
    const ben = stack.as('ben');
    await stack.model.script(
      'twice',
      { status: 529, error_type: 'overloaded_error', message: 'canary-prompt-qpxz' },
      1,
    );
    const { body } = await ben.turn((await ben.chat()).id, 'twice');
    const traceOf = async (): Promise<string | undefined> =>
      collector.spans.find(({ attributes }) => attributes['messaging.message.id'] === body.job_id)?.traceId;
    const spans = await spansOf(await until(traceOf, 'a span of the job'), 6);
    const attempts = spans.filter(({ name }) => name === 'process assistant-reply');
    const outcomes = attempts.map(({ attributes, failed }) => [
      attributes['rejoinder.attempt'],
      attributes['rejoinder.outcome'],
      failed,
    ]);
    expect(outcomes.sort()).toEqual([
      [1, 'failed', true],
      [2, 'completed', false],
    ]);
    const failed = spans.find(({ name, failed }) => name.startsWith('chat ') && failed);
    expect(failed?.attributes['error.type']).toBe('model_unavailable');
  });

  it('have a span for each call of a tool, whose server is told the trace, and no input or result', async () => {
    const tools = await startTools();
    await giveTools(stack, 'billing', [httpTool(tools, 'find_order', { repeatable: true })]);
    let told: string | undefined;
    tools.answer('find_order', (_, __, incoming) => {
      told = incoming.headers['traceparent'] as string;
      return 'canary-reply-qpxz';
    });
    const traceparent = '00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const eve = stack.as('eve');
    await eve.turn((await eve.chat('billing')).id, 'use find_order {"order_id":"canary-prompt-qpxz"}', { traceparent });
    const spans = await spansOf('5bf92f3577b34da6a3ce929d0e0e4736', 6);
    const attempt = spans.find(({ name }) => name === 'process assistant-reply');
    const call = spans.find(({ name }) => name === 'execute_tool find_order');
    expect(call).toMatchObject({
      kind: 3,
      parentSpanId: attempt?.spanId,
      failed: false,
      attributes: {
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': 'find_order',
        'gen_ai.tool.call.id': expect.any(String),
      },
    });
    expect(told).toContain(call?.spanId);
    expect(spans.filter(({ name }) => name.startsWith('chat '))).toHaveLength(2);
    await tools.stop();
  });

  it('are sent with the configured headers, and never contain texts or users', async () => {
    expect(collector.headers.length).toBeGreaterThan(1);
    for (const headers of collector.headers) {
      expect(headers).toMatchObject({ path: '/v1/traces', 'x-api-key': 'for-the-collector' });
    }
    expect(collector.received).toContain('deployment.environment.name');
    expect(collector.received).not.toMatch(/qpxz/);
    expect(stack.api.output() + stack.workers[0]?.output()).not.toContain('for-the-collector');
  });

  it('are sent before a process stops, and one whose collector hangs stops all the same', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const [other, last] = await Promise.all([
      stack.startApi({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` }),
      stack.startApi({ OTEL_BSP_SCHEDULE_DELAY: '60000' }),
    ]);
    try {
      const requestId = 'the-last-of-them';
      for (const app of [other, last]) {
        await stack.as('cleo', app).request('GET', '/api/v1/chats', { headers: { 'x-request-id': requestId } });
      }
      const pace = await Pace.watch();
      const began = Date.now();
      const codes = await Promise.all([other.stop(), last.stop()]);
      expect(codes).toEqual([0, 0]);
      // Much less than the longest wait for the collector.
      expect(Date.now() - began).toBeLessThan(pace.bound(8_000));
      expect(collector.spans.map(({ attributes }) => attributes['rejoinder.request_id'])).toContain(requestId);
      expect(other.output()).not.toMatch(/WARN|ERROR/);
    } finally {
      silent.close();
    }
  });
});
