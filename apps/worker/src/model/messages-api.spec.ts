import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { timeLimit } from '#process/time-limit.js';
import type { Settings } from '#settings/settings.js';
import { createStream, messagesApi } from './messages-api.js';

const PARAMS = {
  model: 'm',
  max_tokens: 1,
  messages: [{ role: 'user' as const, content: 'x' }],
  stream: true as const,
};

/** A model of which the SDK warns. The SDK has its own list: a later version may need another name here. */
const DEPRECATED = 'claude-opus-4-5';

const EVENTS = ['message_start', 'message_stop'].map((type) => `event: ${type}\ndata: {"type":"${type}"}\n\n`);

/** A server of the Messages API. */
interface Server {
  readonly url: string;
  readonly requests: { readonly path: string | undefined; readonly headers: NodeJS.Dict<string | string[]> }[];
  stop(): void;
}

async function serve(answer?: RequestListener): Promise<Server> {
  const requests: Server['requests'] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url, headers: request.headers });
    request.resume();
    if (answer !== undefined) return answer(request, response);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_1' }).end(EVENTS.join(''));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stop: () => (server.closeAllConnections(), server.close()),
  };
}

describe('the client of the Messages API', () => {
  let model: Server;
  afterEach(() => {
    jest.restoreAllMocks();
    model?.stop();
  });
  const settings = (more: Partial<Settings['model']> = {}): Settings['model'] => ({
    apiKey: 'the key',
    baseUrl: model.url,
    idleMs: 60_000,
    totalMs: 60_000,
    ...more,
  });

  const ask = async (
    more: Partial<Settings['model']> = {},
  ): Promise<Server['requests'][number]['headers'] | undefined> => {
    const { stream } = await createStream(messagesApi(settings(more)), PARAMS);
    for await (const _ of stream);
    return model.requests.at(-1)?.headers;
  };

  it('gives the stream of a reply, and the headers it came with', async () => {
    model = await serve();
    const { stream, response } = await createStream(messagesApi(settings()), PARAMS);
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    expect([response.status, response.headers.get('request-id')]).toEqual([200, 'req_1']);
    expect(types).toHaveLength(EVENTS.length);
    expect(model.requests).toMatchObject([{ path: '/v1/messages' }]);
  });

  it('makes calls below the path of a gateway', async () => {
    model = await serve();
    await ask({ baseUrl: `${model.url}/anthropic` });
    expect(model.requests.map(({ path }) => path)).toEqual(['/anthropic/v1/messages']);
  });

  it('sends the key in the header that the settings name, and in no other', async () => {
    model = await serve();
    const both = (headers: Server['requests'][number]['headers'] = {}): unknown[] => [
      headers['authorization'],
      headers['x-api-key'],
    ];
    expect(both(await ask())).toEqual(['Bearer the key', undefined]);
    expect(both(await ask({ authHeader: 'authorization' }))).toEqual(['Bearer the key', undefined]);
    expect(both(await ask({ authHeader: 'x-api-key' }))).toEqual([undefined, 'the key']);
  });

  it('takes nothing from the environment: neither address nor credential, nor headers', async () => {
    model = await serve();
    const { env } = process;
    const before = { ...env };
    Object.assign(env, {
      ANTHROPIC_BASE_URL: 'https://elsewhere.example',
      ANTHROPIC_API_KEY: 'another key',
      ANTHROPIC_AUTH_TOKEN: 'a token',
      ANTHROPIC_CUSTOM_HEADERS: 'authorization: Bearer another\nno header: x',
      ANTHROPIC_LOG: 'debug',
    });
    try {
      const { baseURL, apiKey, authToken, logLevel } = messagesApi(settings({ apiKey: undefined, baseUrl: undefined }));
      expect({ baseURL, apiKey, authToken, logLevel }).toEqual({
        baseURL: 'https://api.anthropic.com',
        apiKey: 'none',
        authToken: null,
        logLevel: 'off',
      });
      expect((await ask())?.['authorization']).toBe('Bearer the key');
    } finally {
      for (const name of Object.keys(env)) if (!(name in before)) delete env[name];
      Object.assign(env, before);
    }
  });

  it('prints nothing of a model that is deprecated', async () => {
    model = await serve();
    const printed = ['log', 'info', 'warn', 'error', 'debug'] as const;
    const spies = printed.map((name) => jest.spyOn(console, name).mockImplementation(() => undefined));
    const client = messagesApi(settings());
    // The SDK's own method must print, or the test would show nothing.
    await client.messages.create({ ...PARAMS, model: DEPRECATED });
    expect(console.warn).toHaveBeenCalled();
    spies.forEach((spy) => spy.mockClear());
    const { stream } = await createStream(client, { ...PARAMS, model: DEPRECATED });
    for await (const _ of stream);
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });

  it('gives up a body that is silent, though the collector has run', async () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    model = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(EVENTS[0]);
    });
    const client = messagesApi(settings());
    const call = async (): Promise<void> => {
      // With `AbortSignal.any` Node 20 loses the timer, and the calls never end.
      const limit = timeLimit(2_000, new AbortController().signal);
      try {
        const { stream } = await createStream(client, PARAMS, { signal: limit.signal });
        for await (const _ of stream);
      } catch {
        // On a slow machine the time ends before the headers arrive.
      } finally {
        limit.release();
      }
    };
    let over = false;
    const calls = Promise.all(Array.from({ length: 20 }, call)).finally(() => (over = true));
    // The pauses end turns of the event loop: the target of a weak reference that was read is kept until the end of the turn.
    while (!over) {
      collect();
      await sleep(50);
    }
    expect(await calls).toHaveLength(20);
    // On a slow machine some calls time out before they are sent.
    expect(model.requests.length).toBeGreaterThan(0);
  });
});
