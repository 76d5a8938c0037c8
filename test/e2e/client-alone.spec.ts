import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { ApiError, type JobEvent, Rejoinder } from '@rejoinder/client';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import {
  all,
  answered,
  type Asked,
  call,
  end,
  event,
  job,
  json,
  never,
  no,
  stream,
  within,
} from '../support/answered-client.js';
import { Pace } from '../support/pace.js';

describe('the client, whatever the answers are', () => {
  afterEach(() => void jest.useRealTimers());

  it('waits for a turn where waits are cut short: it asks for shorter waits, and goes on', async () => {
    jest.useFakeTimers();
    const prefers: (string | null)[] = [];
    const { client } = answered(
      async (n, { init }) => {
        prefers.push(new Headers(init.headers).get('prefer'));
        if (n >= 7) return json({ job_id: 'j' });
        if (n % 2 === 1) return json(job('running'), {}, 202);
        await new Promise((resolve) => setTimeout(resolve, 40_000));
        throw new TypeError('cut');
      },
      { reconnectForMs: 20_000 },
    );
    expect(await within(300_000, client.sendTurn('c', 'hello'))).toEqual({ job_id: 'j' });
    expect(prefers).toEqual(Array.from({ length: 4 }, () => ['wait=55', 'wait=10']).flat());
  });

  it('makes a conditional change even if a proxy has made the tag weak, and takes a weak and a strong tag for the same', async () => {
    const tags = ['W/"1"', '"1"', 'W/"2"'];
    const { client, asked } = answered((n, { init }) =>
      init.method === 'GET'
        ? json({ ...job(n < 2 ? 'running' : 'succeeded'), n }, { etag: tags[n] ?? '"1"', 'retry-after': '0' })
        : json({ id: 'c' }, { etag: 'W/"3"' }),
    );
    const seen: unknown[] = [];
    for await (const one of client.pollJob('j')) seen.push(one);
    expect(seen).toEqual([expect.objectContaining({ n: 0 }), expect.objectContaining({ n: 2 })]);
    const chat = await client.getChat('c');
    const changed = await client.updateChat('c', { title: 'x' }, { ifUnchanged: chat });
    await client.deleteChat('c', { ifUnchanged: changed });
    expect(asked.slice(-2).map(({ init }) => new Headers(init.headers).get('if-match'))).toEqual(['"1"', '"3"']);
  });

  it('never asks without a pause, whatever Retry-After says', async () => {
    jest.useFakeTimers();
    for (const retryAfter of ['-5', '0', '', 'Thu, 01 Jan 1970 00:00:00 GMT']) {
      const { client, asked } = answered(() => no(503, 'unavailable', { 'retry-after': retryAfter }));
      expect(await within(60_000, client.listChats())).toBeInstanceOf(ApiError);
      expect([retryAfter, asked.length]).toEqual([retryAfter, expect.any(Number)]);
      expect(asked.length).toBeLessThan(70);
    }
    for (const retryAfter of ['0', '-1', '99999999999', 'soon']) {
      const { client, asked } = answered((n) =>
        json(job(n < 10 ? 'running' : 'succeeded'), { 'retry-after': retryAfter, etag: `"${n}"` }),
      );
      const polled = all(client.pollJob('j') as unknown as AsyncIterable<JobEvent>);
      expect(await within(5_000, polled)).toBe('pending');
      expect(asked.length).toBeLessThan(8);
      expect(await within(700_000, polled)).toHaveLength(11);
    }
    for (const retry of [0, 99_999_999_999]) {
      const goodbye = `retry: ${retry}\n${event('job', '1.0', job('running'))}`;
      const { client, asked } = answered((n) => stream(n < 20 ? goodbye : end));
      const followed = all(client.followJob('j'));
      expect(await within(1_000, followed)).toBe('pending');
      expect(asked.length).toBeLessThan(7);
      expect(await within(2_000_000, followed)).toHaveLength(21);
    }
    // It understands a date.
    const { client } = answered((n) =>
      n === 0 ? no(429, 'rate_limited', { 'retry-after': new Date(Date.now() + 9_000).toUTCString() }) : json({}),
    );
    const waited = client.listChats();
    expect(await within(7_000, waited)).toBe('pending');
    expect(await within(4_000, waited)).toEqual({});
  });

  it('says at once that a budget is spent until tomorrow, and waits for turns in progress that have only reserved its rest', async () => {
    jest.useFakeTimers();
    const budget = { budget: 'user_cost', resets_at: '2026-12-01T00:00:00.000Z' };
    const spent = answered(() => no(429, 'budget_exhausted', { 'retry-after': '40000' }, budget));
    expect(await within(10, spent.client.startTurn('c', 'hello'))).toMatchObject({
      code: 'budget_exhausted',
      budget: 'user_cost',
      resetsAt: new Date('2026-12-01T00:00:00.000Z'),
      retryAfterMs: 40_000_000,
    });
    expect(spent.asked).toHaveLength(1);
    const reserved = answered((n) =>
      n === 0 ? no(429, 'budget_exhausted', { 'retry-after': '10' }, budget) : json({}),
    );
    const sent = reserved.client.startTurn('c', 'hello');
    expect(await within(9_000, sent)).toBe('pending');
    await within(3_000, sent);
    expect(reserved.asked).toHaveLength(2);
  });

  it('can work without time limits', async () => {
    const late = async (_n: number, { init }: Asked): Promise<Response> => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      init.signal?.throwIfAborted();
      return json({});
    };
    const { client } = answered(late, { timeoutMs: Infinity, retryForMs: 0 });
    expect(await client.listChats()).toEqual({});
  });

  it('has one time limit for the token, the answer and the body together', async () => {
    jest.useFakeTimers();
    const body = (): Response => new Response(new ReadableStream());
    for (const { client } of [answered(() => json({}), { token: never }), answered(never), answered(body)]) {
      expect(await within(31_000, client.listChats())).toMatchObject({
        name: 'ConnectionError',
        message: expect.stringContaining('in time'),
      });
    }
    for (const { client } of [
      answered(() => stream(end), { token: never, reconnectForMs: 0 }),
      answered(never, { reconnectForMs: 0 }),
    ]) {
      expect(await within(31_000, client.followJob('j').reply())).toMatchObject({
        message: expect.stringContaining('silent'),
      });
    }
    // An abort ends each of them at once.
    for (const { client } of [answered(() => json({}), { token: never }), answered(never), answered(body)]) {
      const leave = new AbortController();
      const calls = [
        client.listChats({ signal: leave.signal }),
        client.followJob('j', { signal: leave.signal }).reply(),
      ];
      const ends = Promise.allSettled(calls);
      await jest.advanceTimersByTimeAsync(10);
      leave.abort(new Error('enough'));
      expect(await within(50, ends)).toMatchObject([
        { reason: { message: 'enough' } },
        { reason: { message: 'enough' } },
      ]);
    }
  });

  it('sends nothing after an abort, and leaves no listener on a signal', async () => {
    let tokens = 0;
    const { client, asked } = answered(
      (_n, { url }) =>
        url.endsWith('/events') ? stream(event('delta', '1.1', { offset: 0, text: 'a' }) + end) : json({}),
      { token: () => String(tokens++) },
    );
    const gone = AbortSignal.abort(new Error('gone'));
    await expect(client.createMessage('c', { content: 'x' }, { signal: gone })).rejects.toThrow('gone');
    await expect(client.streamTurn('c', 'x', { signal: gone }).reply()).rejects.toThrow('gone');
    expect([asked.length, tokens]).toEqual([0, 0]);

    const { signal } = new AbortController();
    let listening = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => (listening++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof add>) => (listening--, remove(...args));
    for (let n = 0; n < 100; n++) {
      await client.listChats({ signal });
      await all(client.followJob('j', { signal }));
      for await (const one of client.followJob('j', { signal })) if (one.type === 'delta') break;
    }
    expect(listening).toBe(0);
  });

  it('tries again when the token cannot be fetched, and gives up when it is refused', async () => {
    jest.useFakeTimers();
    let tries = 0;
    const offline = async (): Promise<string> => {
      if (++tries < 4) throw new TypeError('Failed to fetch');
      return 'x';
    };
    const { client } = answered(() => stream(end), { token: offline });
    expect(await within(30_000, all(client.followJob('j')))).toMatchObject([{ type: 'job' }]);
    const signedOut = async (): Promise<string> => {
      tries++;
      throw new Error('signed out');
    };
    const out = answered(() => json({}), { token: signedOut });
    tries = 0;
    expect(await within(100, out.client.listChats())).toMatchObject({ message: 'signed out' });
    expect(await within(100, out.client.followJob('j').reply())).toMatchObject({ message: 'signed out' });
    expect([tries, out.asked.length]).toEqual([2, 0]);
  });

  it('reports at once a request that cannot be sent', async () => {
    const { client, asked } = answered(() => json({}));
    const key = { idempotencyKey: 'a\nb' };
    await expect(client.createMessage('c', { content: 'x' }, key)).rejects.toMatchObject({ name: 'TypeError' });
    await expect(client.streamTurn('c', 'x', key).reply()).rejects.toMatchObject({ name: 'TypeError' });
    await expect(answered(() => json({}), { token: '😀' }).client.listChats()).rejects.toMatchObject({
      name: 'TypeError',
    });
    expect(asked).toEqual([]);
    for (const baseUrl of ['', '//x', 'file:///x', 'null', 'http://', 'http://u:p@x', 'http://x/?a', 'http://x/#a']) {
      expect(() => new Rejoinder({ token: 'x', baseUrl })).toThrow(TypeError);
    }
    for (const baseUrl of ['http://x/some/where', 'http://x/some/where//', ' HTTP://X/some/where/ ']) {
      const one = answered(() => json({}), { baseUrl });
      await one.client.listChats();
      expect(one.asked[0]?.url).toBe('http://x/some/where/api/v1/chats');
    }
  });

  it('reaches nothing else with an id, whatever it contains', async () => {
    for (const id of ['', '.', '..', '%2e%2e', '../..', 'a/b', 'a?b', 'a#b', 'ñ😀', ' ']) {
      const { client, asked } = answered((_n, { url }) => (url.endsWith('/events') ? stream(end) : json({})));
      const calls: (() => unknown)[] = [
        () => all(client.followJob(id)),
        ...[() => client.getJob(id), () => client.cancelJob(id), () => client.getChat(id), () => client.openChat(id)],
        ...[() => client.getAssistant(id), () => client.listMessages(id), () => client.startTurn(id, 'x')],
        ...[() => client.toolCalls(id), () => client.decide(id, id, 'deny'), () => client.giveResult(id, id, 'x')],
      ];
      for (const call of calls) await Promise.resolve(call()).catch(() => undefined);
      const paths = asked.map(({ url }) => new URL(url).pathname.split('/').slice(3));
      expect(paths.map(([kind, name, rest]) => [kind, name !== '', rest])).toEqual([
        ['jobs', true, 'events'],
        ...[
          ['jobs', true, undefined],
          ['jobs', true, undefined],
          ['chats', true, undefined],
        ],
        ...[
          ['assistants', true, 'chats'],
          ['assistants', true, undefined],
          ['chats', true, 'messages'],
        ],
        ['chats', true, 'turns'],
        ...['toolCalls', 'decide', 'giveResult'].map(() => ['jobs', true, 'tool-calls']),
      ]);
    }
  });

  it('keeps answers unchanged, up to a total of characters', async () => {
    const big = 'x'.repeat(3_000_000);
    const { client, asked } = answered((_n, { url, init }) =>
      (init.headers as Record<string, string>)['if-none-match'] === undefined
        ? json({ data: [{ content: url.endsWith('huge/messages') ? big + big : big }] }, { etag: '"1"' })
        : new Response(null, { status: 304 }),
    );
    const statuses = async (ids: string[]): Promise<boolean[]> => {
      const from = asked.length;
      for (const id of ids) await client.listMessages(id);
      return asked.slice(from).map(({ init }) => 'if-none-match' in (init.headers as object));
    };
    expect(await statuses(['a', 'b', 'a'])).toEqual([false, false, true]);
    // `b` is the least recently used of six.
    expect(await statuses(['c', 'd', 'e', 'f', 'a', 'b'])).toEqual([false, false, false, false, true, false]);
    expect(await statuses(['huge', 'huge', 'b'])).toEqual([false, false, true]);
    const page = await client.listMessages('b');
    expect(() => page.data.pop()).toThrow(TypeError);
    expect(() => Object.assign(page.data[0] as object, { content: '' })).toThrow(TypeError);
    expect(await client.listMessages('b')).toBe(page);
  });

  it('reads a stream however it is cut into pieces, and ignores unknown events', async () => {
    const text = ['¡Hola 😀!\n', 'data: x\r\n\r\n', 'fin'];
    let offset = 0;
    const deltas = text.map((piece) => {
      const delta = { offset, text: piece };
      return event('delta', `1.${(offset += piece.length)}`, delta);
    });
    const whole = `retry: 600\n${event('job', '1.0', job('running'))}:\n:\n${deltas[0]}:\n\n${event('news', `1.${text[0]?.length}`, {})}: x\n\n`;
    const bytes = new TextEncoder().encode(whole + deltas.slice(1).join('') + deltas[1] + end);
    for (const [eol, size] of [
      ['\n', 1],
      ['\r\n', 1],
      ['\r\n', 3],
    ] as const) {
      const lines = new TextEncoder().encode(new TextDecoder().decode(bytes).replaceAll('\n', eol));
      const pieces = Array.from({ length: Math.ceil(lines.length / size) }, (_, n) =>
        lines.slice(n * size, (n + 1) * size),
      );
      const { client } = answered(() => stream(ReadableStream.from(pieces)));
      const followed = client.followJob('j');
      const events = await all(followed);
      expect(events.map(({ type }) => type)).toEqual(['job', 'delta', 'delta', 'delta', 'job']);
      expect(followed.text).toBe(text.join(''));
    }
  });

  it('resumes from the right position after a gap, a break and a reset at any point', async () => {
    jest.useFakeTimers();
    const first = event('job', '1.0', job('running'));
    const script = [
      first + event('delta', '1.3', { offset: 0, text: 'abc' }) + event('delta', '1.9', { offset: 6, text: 'ghi' }),
      event('delta', '1.6', { offset: 0, text: 'abcdef' }).slice(0, -1),
      event('delta', '1.6', { offset: 0, text: 'abcdef' }) + event('delta', '1.2', { offset: 0, text: 'ab' }),
      event('reset', '2.0', { attempt: 2, offset: 0 }),
      event('delta', '2.2', { offset: 0, text: 'xy' }) + event('job', '2.2', job('running')),
      event('message', '2.4', { content: 'xyz!' }) + end,
    ];
    const { client, asked } = answered((n) => stream(script[n] ?? ''));
    const followed = client.followJob('j');
    const events = await within(60_000, all(followed));
    expect(
      (events as JobEvent[]).flatMap((one) => (one.type === 'delta' ? [one.text] : one.type === 'reset' ? ['|'] : [])),
    ).toEqual(['abc', 'def', '|', 'xy']);
    const sent = asked.map(({ init }) => (init.headers as Record<string, string>)['last-event-id']);
    expect(sent).toEqual([undefined, '1.3', '1.3', '1.6', '2.0', '2.2']);
    expect([followed.text, followed.lastEventId]).toEqual(['xyz!', 'end']);
  });

  it('gives each state of a tool call once, although a resumed stream begins with it again', async () => {
    jest.useFakeTimers();
    const calls = (...states: string[]): string =>
      states.map((state) => event('tool_call', '1.0', call(state))).join('');
    const script = [
      event('job', '1.0', job('running')) + calls('awaiting_approval', 'awaiting_approval'),
      event('job', '1.0', job('running')) + calls('awaiting_approval', 'queued', 'running'),
      calls('running', 'queued', 'running') + event('job', '1.0', job('running')) + calls('succeeded') + end,
    ];
    const { client } = answered((n) => stream(script[n] ?? ''));
    const followed = client.followJob('j');
    const events = (await within(60_000, all(followed))) as JobEvent[];
    expect(events.flatMap((one) => (one.type === 'tool_call' ? [one.toolCall.status] : []))).toEqual(
      // A lost attempt's call is queued once more.
      ['awaiting_approval', 'queued', 'running', 'queued', 'running', 'succeeded'],
    );
    expect(followed.toolCalls).toEqual([call('succeeded')]);
  });

  it('yields nothing more once it is aborted', async () => {
    const { client } = answered(() =>
      stream(event('job', '1.0', job('running')) + event('delta', '1.1', { offset: 0, text: 'a' }) + end),
    );
    const leave = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { type } of client.followJob('j', { signal: leave.signal })) {
        seen.push(type);
        leave.abort(new Error('enough'));
      }
    })();
    await expect(reading).rejects.toThrow('enough');
    expect(seen).toEqual(['job']);
  });
});

describe('a process with the client in it', () => {
  const servers: Server[] = [];
  afterEach(() => servers.splice(0).forEach((server) => (server.close(), server.closeAllConnections())));

  it('ends as soon as it has left its streams', async () => {
    const listener: RequestListener = (request, response) => {
      const events = request.url?.endsWith('/events') === true;
      response.writeHead(200, { 'content-type': events ? 'text/event-stream' : 'application/json' });
      if (events) response.write(event('job', '1.0', job('running')));
      else response.end('{}');
    };
    const server = createServer(listener).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const script = `
      import { Rejoinder } from '@rejoinder/client';
      const client = new Rejoinder({ baseUrl: process.env.SERVICE, token: 'x' });
      process.on('unhandledRejection', () => process.exit(9));
      await client.listChats();
      for await (const event of client.followJob('j')) break;
      const leave = new AbortController();
      const reading = client.followJob('j', { signal: leave.signal }).reply().catch(() => undefined);
      setTimeout(() => leave.abort(), 100);
      await reading;
      console.log(Date.now());`;
    const pace = await Pace.watch();
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env: { SERVICE: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    });
    expect(Date.now() - Number(stdout)).toBeLessThan(pace.bound(2_000));
  });
});

describe('an export', () => {
  it('reads a line of 16 MB in small pieces in linear time', async () => {
    const encoder = new TextEncoder();
    const piece = encoder.encode('x'.repeat(16_384));
    const body = new ReadableStream({
      start: (controller) => {
        controller.enqueue(encoder.encode('{"type":"export"}\n{"type":"message","message":{"content":"'));
        for (let n = 0; n < 1_024; n++) controller.enqueue(piece);
        controller.enqueue(encoder.encode('"}}\n{"type":"end"}\n'));
        controller.close();
      },
    });
    const { client } = answered(() => new Response(body, { headers: { 'content-type': 'application/jsonl' } }));
    const before = process.cpuUsage();
    const types: string[] = [];
    for await (const { type } of client.exportMe()) types.push(type);
    expect(types).toEqual(['export', 'message', 'end']);
    // Quadratic reading took half a minute of CPU; this takes a quarter of a second.
    expect(process.cpuUsage(before).user).toBeLessThan(8_000_000);
  });
});
