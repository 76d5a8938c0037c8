import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { HttpTools } from '../../apps/worker/src/tools/http-tool.js';

const secretOf = (): string => `whsec_${randomBytes(32).toString('base64')}`;
const [SECRET, NEXT] = [secretOf(), secretOf()];
const PROGRAM = 'dist/examples/tool-server/server.js';

interface Sent {
  readonly status: number;
  readonly body: any;
}

describe('the example tool server', () => {
  let server: ChildProcess;
  let url = '';
  beforeAll(async () => {
    server = spawn(process.execPath, [PROGRAM], {
      env: { TOOLS_SECRET: `${SECRET} ${NEXT}`, TOOL_SERVER_PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface({ input: server.stdout! }), 'line')) as [string];
    url = /http:\S+/.exec(line)?.[0] ?? '';
  });
  afterAll(async () => {
    const exit = once(server, 'exit');
    server.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  const send = async (path: string, headers: Record<string, string>, body: string): Promise<Sent> => {
    const answer = await fetch(`${url}/${path}`, { method: 'POST', headers, body });
    return { status: answer.status, body: await answer.json() };
  };
  const headersOf = (id: string, body: string, secret = SECRET, time = new Date()): Record<string, string> => ({
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(time.getTime() / 1_000)),
    'webhook-signature': new Webhook(secret).sign(id, time, body),
  });
  const bodyOf = (id: string, name: string, input: unknown): string => JSON.stringify({ call_id: id, name, input });
  const call = (name: string, input: unknown, id = randomBytes(6).toString('hex')): Promise<Sent> => {
    const body = bodyOf(id, name, input);
    return send(name, headersOf(id, body), body);
  };

  it('finds orders, says the hours, and says what is wrong with an input', async () => {
    expect(await call('find_order', { order: 'A-1001' })).toEqual({
      status: 200,
      body: { order: 'A-1001', item: 'Desk lamp', total: '39.00 EUR', status: 'delivered' },
    });
    expect(await call('find_order', { order: 'A-9' })).toEqual({ status: 404, body: { error: 'not found' } });
    expect((await call('find_order', { order: 7 })).status).toBe(400);
    expect((await call('opening_hours', {})).body).toHaveProperty('saturday');
  });

  it('answers a worker, whose result is the order', async () => {
    const tools = new HttpTools({ secrets: [SECRET], callsAtOnce: 1, example: true });
    const request = { userId: 'ana', chatId: 'c', jobId: 'j', assistant: 'support', traceparent: null };
    const tool = {
      run: 'http',
      name: 'find_order',
      description: 'Finds an order.',
      input_schema: { type: 'object' },
      approval: 'never',
      result_max_bytes: 10_000,
      url: `${url}/find_order`,
      headers: {},
      repeatable: true,
      timeout_seconds: 10,
    } as const;
    const run = (order: string) =>
      tools.run(tool, { ...request, callId: `toolu_${order}`, input: { order } }, new AbortController().signal);
    expect(JSON.parse((await run('A-1002')).content)).toMatchObject({ item: 'Office chair' });
    expect(await run('A-9')).toEqual({ content: 'The tool answered 404: {"error":"not found"}', isError: true });
  });

  it('refunds an order once, and answers a request that comes again as before', async () => {
    const refunded = { status: 200, body: { refunded: 'A-1003', amount: '74.50 EUR' } };
    expect(await call('refund_order', { order: 'A-1003' }, 'call-1')).toEqual(refunded);
    expect(await call('refund_order', { order: 'A-1003' }, 'call-1')).toEqual(refunded);
    expect((await call('refund_order', { order: 'A-1003' }, 'call-2')).status).toBe(409);
    expect((await call('find_order', { order: 'A-1003' })).body).toMatchObject({ status: 'refunded' });
  });

  it('takes the signature of each of its secrets', async () => {
    const body = bodyOf('call-3', 'opening_hours', {});
    expect((await send('opening_hours', headersOf('call-3', body, NEXT), body)).status).toBe(200);
  });

  it('refuses what is not signed, signed by another, changed, or older or newer than five minutes', async () => {
    const body = bodyOf('call-4', 'find_order', { order: 'A-1001' });
    const at = (minutes: number): Date => new Date(Date.now() + 60_000 * minutes);
    const headers = headersOf('call-4', body);
    for (const [refused, sent] of [
      [{}, body],
      [headersOf('call-4', body, secretOf()), body],
      [headers, body.replace('A-1001', 'A-1002')],
      [{ ...headers, 'webhook-id': 'call-5' }, body],
      [{ ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }, body],
      [headersOf('call-4', body, SECRET, at(-6)), body],
      [headersOf('call-4', body, SECRET, at(6)), body],
    ] as const) {
      expect((await send('find_order', refused, sent)).status).toBe(401);
    }
    expect((await send('find_order', headers, body)).status).toBe(200);
  });

  it('lets nobody turn a recorded request into another: neither by its path nor by its idempotency key', async () => {
    const read = bodyOf('call-6', 'find_order', { order: 'A-1001' });
    expect((await send('refund_order', headersOf('call-6', read), read)).status).toBe(404);
    const refund = bodyOf('call-7', 'refund_order', { order: 'A-1001' });
    const headers = headersOf('call-7', refund);
    const first = await send('refund_order', { ...headers, 'idempotency-key': 'call-7' }, refund);
    expect(await send('refund_order', { ...headers, 'idempotency-key': 'other' }, refund)).toEqual(first);
  });

  it.each([
    ['no JSON', '{'],
    ['no object', 'null'],
    ['no input', '{"call_id":"call-8","name":"find_order"}'],
    ['the id of another call', '{"call_id":"call-9","name":"find_order","input":{}}'],
  ])('refuses a signed body with %s', async (_, body) => {
    expect((await send('find_order', headersOf('call-8', body), body)).status).toBe(400);
  });

  it('refuses other tools, other methods, and bodies without end', async () => {
    expect((await call('constructor', {})).status).toBe(404);
    expect((await fetch(`${url}/find_order`)).status).toBe(405);
    const long = 'x'.repeat(100_000);
    expect((await send('find_order', headersOf('call-10', long), long)).status).toBe(413);
  });

  it('does not start without a secret', async () => {
    const child = spawn(process.execPath, [PROGRAM], { env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
    const [said] = (await once(child.stderr, 'data')) as [Buffer];
    expect([String(said), (await once(child, 'exit'))[0]]).toEqual([expect.stringContaining('TOOLS_SECRET'), 1]);
  });
});
