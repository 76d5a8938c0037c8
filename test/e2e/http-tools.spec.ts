import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { HttpTool } from '#database/entities/tool.js';
import { HttpTools } from '../../apps/worker/src/tools/http-tool.js';
import type { ToolCallRequest } from '../../apps/worker/src/tools/tool-call.js';
import { answerOf, ToolServer } from '../support/tool-server.js';

const secretOf = (): string => `whsec_${randomBytes(32).toString('base64')}`;
const SECRET = secretOf();
const never = new AbortController().signal;
const OPEN = answerOf(200, 'application/json', '{"content":"open"}');

const REQUEST: ToolCallRequest = {
  callId: 'toolu_01',
  userId: 'ana',
  chatId: 'chat-1',
  jobId: 'job-1',
  assistant: 'support',
  input: { order: 'größer "7"' },
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};

describe('a tool by HTTP', () => {
  const servers: ToolServer[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    delete process.env['TEST_TOOLS_URL'];
    delete process.env['TEST_TOOLS_KEY'];
    delete process.env['TEST_TOOLS_HUSH'];
    jest.restoreAllMocks();
  });

  const serve = async (answer: string | ((socket: Socket, n: number) => void) = OPEN): Promise<ToolServer> => {
    const server = await ToolServer.start(answer);
    servers.push(server);
    return server;
  };
  const tool = (url: string, others: Partial<HttpTool> = {}): HttpTool => ({
    run: 'http',
    name: 'find_order',
    description: 'Finds an order.',
    input_schema: { type: 'object' },
    approval: 'never',
    result_max_bytes: 10_000,
    url,
    headers: {},
    repeatable: false,
    timeout_seconds: 10,
    ...others,
  });
  const tools = (...secrets: string[]): HttpTools => new HttpTools({ secrets, callsAtOnce: 1, example: false });

  it('gets the call, and a library for Standard Webhooks accepts its signature', async () => {
    const server = await serve();
    expect(await tools(SECRET).run(tool(`${server.url}/find?a=b`), REQUEST, never)).toEqual({
      content: 'open',
      isError: false,
    });
    const [{ line, headers, body } = { line: '', headers: {}, body: '' }] = server.requests;
    expect(line).toBe('POST /find?a=b HTTP/1.1');
    expect(new Webhook(SECRET).verify(body, headers as Record<string, string>)).toEqual({
      call_id: 'toolu_01',
      name: 'find_order',
      input: { order: 'größer "7"' },
      user_id: 'ana',
      chat_id: 'chat-1',
      job_id: 'job-1',
      assistant: 'support',
    });
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'Rejoinder',
      'idempotency-key': 'toolu_01',
      'webhook-id': 'toolu_01',
      traceparent: REQUEST.traceparent,
      connection: 'close',
    });
  });

  it('is signed with every secret, so that either side can change over first', async () => {
    const server = await serve();
    const [old, next] = [secretOf(), secretOf()];
    await tools(old, next).run(tool(server.url), REQUEST, never);
    const { headers, body } = server.requests[0] ?? { headers: {}, body: '' };
    for (const secret of [old, next]) expect(() => new Webhook(secret).verify(body, headers)).not.toThrow();
    expect(() => new Webhook(SECRET).verify(body, headers)).toThrow('No matching signature');
    expect(() => new Webhook(old).verify(`${body} `, headers)).toThrow('No matching signature');
  });

  it('has no traceparent in an attempt without a trace', async () => {
    const server = await serve();
    await tools(SECRET).run(tool(server.url), { ...REQUEST, traceparent: null }, never);
    expect(server.requests[0]?.headers).not.toHaveProperty('traceparent');
  });

  it('gets its own headers, and its address, from the environment; it cannot replace ours', async () => {
    const server = await serve();
    process.env['TEST_TOOLS_URL'] = `${server.url}/v1/`;
    process.env['TEST_TOOLS_KEY'] = 'Bearer hush';
    const headers = {
      Authorization: 'env:TEST_TOOLS_KEY',
      'x-shop': '7',
      'Webhook-Id': 'x',
      'Content-Length': '1',
      Host: 'x',
    };
    await tools(SECRET).run(tool('env:TEST_TOOLS_URL/find', { headers }), REQUEST, never);
    expect(server.requests[0]).toMatchObject({
      line: 'POST /v1/find HTTP/1.1',
      headers: {
        authorization: 'Bearer hush',
        'x-shop': '7',
        'webhook-id': 'toolu_01',
        host: new URL(server.url).host,
      },
    });
  });

  it.each([
    ['its address', 'TEST_TOOLS_URL', { url: 'env:TEST_TOOLS_URL/find' }, [SECRET]],
    ['a header', 'TEST_TOOLS_KEY', { headers: { authorization: 'env:TEST_TOOLS_KEY' } }, [SECRET]],
    ['a header that can be sent', 'TEST_TOOLS_HUSH', { headers: { authorization: 'env:TEST_TOOLS_HUSH' } }, [SECRET]],
    ['a secret', 'TOOLS_SECRET', {}, []],
  ])('is not available without %s, is not called, and the log names %s', async (_, variable, others, secrets) => {
    process.env['TEST_TOOLS_HUSH'] = 'hush\nhush';
    const errors = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    const server = await serve();
    expect(await tools(...secrets).run(tool(server.url, others), REQUEST, never)).toEqual({
      content: 'The tool is not available.',
      isError: true,
    });
    expect(server.requests).toEqual([]);
    expect(errors).toHaveBeenCalledWith(expect.objectContaining({ words: expect.stringContaining(variable) }));
    expect(JSON.stringify(errors.mock.calls)).not.toContain('hush');
  });

  it('that refuses is not asked again, and the model learns why', async () => {
    const server = await serve(answerOf(422, 'application/json', '{"error":"no order 7"}'));
    expect(await tools(SECRET).run(tool(server.url, { repeatable: true }), REQUEST, never)).toEqual({
      content: 'The tool answered 422: {"error":"no order 7"}',
      isError: true,
    });
    expect(server.requests).toHaveLength(1);
  });

  it('that may run twice is tried again, with the same key and body and a signature of its own time', async () => {
    const again = answerOf(503, 'text/plain', 'no', 'retry-after: 1\r\n');
    const server = await serve((socket, n) => {
      if (n === 0) socket.end(again);
      else if (n === 1) socket.destroy();
      else socket.end(OPEN);
    });
    const began = performance.now();
    const result = await tools(SECRET).run(tool(server.url, { repeatable: true }), REQUEST, never);
    expect(result).toEqual({ content: 'open', isError: false });
    expect(performance.now() - began).toBeGreaterThanOrEqual(1_000 + 1_500);
    const [first, ...others] = server.requests;
    expect(others).toHaveLength(2);
    for (const { body, headers } of others) {
      expect(body).toBe(first?.body);
      expect(headers['idempotency-key']).toBe('toolu_01');
      expect(headers['webhook-timestamp']).not.toBe(first?.headers['webhook-timestamp']);
      expect(() => new Webhook(SECRET).verify(body, headers)).not.toThrow();
    }
  });

  it.each([500, 502, 503, 429])('that answers %i three times has failed', async (status) => {
    const server = await serve(answerOf(status, 'text/html', '<p>', 'retry-after: 0\r\n'));
    const result = await tools(SECRET).run(tool(server.url, { repeatable: true }), REQUEST, never);
    expect(result).toEqual({ content: `The tool answered ${status}.`, isError: true });
    expect(server.requests).toHaveLength(3);
  });

  it('that wants a longer pause than a call can wait is not asked again', async () => {
    const server = await serve(answerOf(503, 'text/plain', 'no', 'retry-after: 60\r\n'));
    await tools(SECRET).run(tool(server.url, { repeatable: true }), REQUEST, never);
    expect(server.requests).toHaveLength(1);
  });

  it('that may not run twice is never tried again', async () => {
    for (const status of [429, 500, 503]) {
      const server = await serve(answerOf(status, 'text/plain', 'no', 'retry-after: 0\r\n'));
      const { content } = await tools(SECRET).run(tool(server.url), REQUEST, never);
      expect(content).toMatch(status === 429 ? /^The tool answered 429: no$/ : /outcome is unknown/);
      expect(server.requests).toHaveLength(1);
    }
  });

  it('is left at once when the attempt stops: before, while it is silent, while it answers, and between two tries', async () => {
    const stopped = new AbortController();
    stopped.abort('before');
    const unused = await serve();
    await expect(tools(SECRET).run(tool(unused.url), REQUEST, stopped.signal)).rejects.toBe('before');
    expect(unused.requests).toEqual([]);

    const begun = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhalf';
    const answers = [
      () => undefined,
      (socket: Socket) => void socket.write(begun),
      (socket: Socket) => void socket.end(answerOf(503, 'text/plain', 'no', 'retry-after: 9\r\n')),
    ];
    for (const answer of answers) {
      const stop = new AbortController();
      const server = await serve((socket) => {
        answer(socket);
        setTimeout(() => stop.abort('stopped'), 200);
      });
      const began = performance.now();
      const run = tools(SECRET).run(tool(server.url, { repeatable: true }), REQUEST, stop.signal);
      await expect(run).rejects.toBe('stopped');
      expect(performance.now() - began).toBeLessThan(3_000);
      expect(server.requests).toHaveLength(1);
    }
  });
});
