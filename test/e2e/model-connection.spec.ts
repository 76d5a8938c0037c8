import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { Collector } from '../support/collector.js';
import type { App } from '../support/processes.js';
import { Proxy } from '../support/proxy.js';
import { MODEL_CERTIFICATE, RecordingModel } from '../support/recording-model.js';
import type { Stack } from '../support/stack.js';
import { steadyPort } from '../support/steady-port.js';
import { until } from '../support/until.js';

/** Each of these words occurs nowhere else. */
const KEY = 'sk-canary-key-qpxz';
const PASSWORD = 'canary-proxy-qpxz';

/** Variables that the SDK would read by itself. */
const OF_THE_SDK = {
  ANTHROPIC_CUSTOM_HEADERS:
    'X-Canary: qpxz\nAuthorization: Bearer qpxz\nX-Api-Key: qpxz\nUser-Agent: qpxz\nnot a header: qpxz',
  ANTHROPIC_AUTH_TOKEN: 'token-qpxz',
  ANTHROPIC_LOG: 'debug',
  ANTHROPIC_PROFILE: 'qpxz',
  ANTHROPIC_CONFIG_DIR: '/nowhere/qpxz',
  ANTHROPIC_WEBHOOK_SIGNING_KEY: 'whsec_qpxz',
  ANTHROPIC_ORGANIZATION_ID: 'qpxz',
  ANTHROPIC_WORKSPACE_ID: 'qpxz',
  ANTHROPIC_SCOPE: 'qpxz',
  ANTHROPIC_SERVICE_ACCOUNT_ID: 'qpxz',
  ANTHROPIC_FEDERATION_RULE_ID: 'qpxz',
  ANTHROPIC_IDENTITY_TOKEN: 'qpxz',
  ANTHROPIC_IDENTITY_TOKEN_FILE: '/nowhere/qpxz',
  ANTHROPIC_OPEN_TELEMETRY: 'true',
  ANTHROPIC_OPEN_TELEMETRY_PROPAGATION: 'true',
  ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE: 'content',
};

describe('the worker’s connection to the model', () => {
  let stack: Stack;
  let models: RecordingModel[] = [];
  let proxies: Proxy[] = [];
  let workers: App[] = [];
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 0 });
  });
  afterAll(() => stack?.stop());
  afterEach(async () => {
    await Promise.all([...workers, ...proxies, ...models].map((part) => part.stop()));
    [workers, proxies, models] = [[], [], []];
  });

  const model = async (options?: { secure: boolean }): Promise<RecordingModel> => {
    const started = await RecordingModel.start(options);
    models.push(started);
    return started;
  };
  const proxy = async (target: RecordingModel, credentials?: string): Promise<Proxy> => {
    const started = await Proxy.start(target.port, { ...(credentials !== undefined && { credentials }) });
    proxies.push(started);
    return started;
  };
  const worker = async (env: Record<string, string>): Promise<App> => {
    const started = await stack.startWorker({
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'trace',
      ANTHROPIC_API_KEY: KEY,
      NODE_EXTRA_CA_CERTS: MODEL_CERTIFICATE,
      ...env,
    });
    workers.push(started);
    return started;
  };
  /** A turn of a new user. @returns the model's reply */
  const reply = async (): Promise<string> => {
    const ana = stack.as(`ana-${crypto.randomUUID()}`);
    const { status, body } = await ana.turn((await ana.chat()).id, 'hello');
    return status === 200 ? body.assistant_message.content : JSON.stringify([status, body]);
  };
  /** A turn whose first attempt fails. @returns the log line that says why */
  const failure = async (app: App): Promise<string> => {
    const ana = stack.as(`ana-${crypto.randomUUID()}`);
    const chat = await ana.chat();
    const { body } = await ana.post(
      `/api/v1/chats/${chat.id}/turns`,
      { user_message: 'hello' },
      { prefer: 'respond-async' },
    );
    const line = await until(
      async () =>
        app
          .output()
          .split('\n')
          .find((line) => line.includes('attempt failed')),
      'an attempt that failed',
    );
    await ana.post(`/api/v1/jobs/${body.job_id}/cancel`);
    return line;
  };

  it('sends what the settings say, whatever the environment has for the SDK', async () => {
    const target = await model();
    const collector = await Collector.start();
    try {
      const app = await worker({
        ...OF_THE_SDK,
        ANTHROPIC_BASE_URL: target.url,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_BSP_SCHEDULE_DELAY: '50',
      });
      expect(await reply()).toBe('recorded');
      const call = await until(
        async () => collector.spans.find(({ name }) => name.startsWith('chat ')),
        'the call’s span',
      );
      expect(call.service).toBe('rejoinder-worker');
      await app.stop();
      expect(collector.spans.filter(({ name }) => /anthropic/i.test(name))).toEqual([]);
      expect(collector.received).not.toMatch(/qpxz|com\.anthropic/);
      expect(app.output()).not.toContain('qpxz');
      // The SDK writes no lines of its own into our log.
      for (const line of app.output().trim().split('\n')) expect(() => JSON.parse(line)).not.toThrow();
    } finally {
      await collector.stop();
    }
    expect(target.requests).toHaveLength(1);
    const { method, path, headers } = target.requests[0] ?? { headers: {} };
    expect([method, path]).toEqual(['POST', '/v1/messages']);
    const some = expect.any(String);
    expect(headers).toEqual({
      // From the worker's call.
      authorization: `Bearer ${KEY}`,
      'anthropic-version': some,
      accept: 'application/json',
      'content-type': 'application/json',
      'content-length': some,
      // From the SDK itself.
      'user-agent': expect.stringMatching(/^Anthropic\/JS [\d.]+$/),
      'x-stainless-arch': some,
      'x-stainless-lang': 'js',
      'x-stainless-os': some,
      'x-stainless-package-version': some,
      'x-stainless-retry-count': '0',
      'x-stainless-runtime': 'node',
      'x-stainless-runtime-version': process.version,
      'x-stainless-timeout': '60',
      // From Node's `fetch`.
      host: new URL(target.url).host,
      connection: 'keep-alive',
      'accept-encoding': some,
      'accept-language': '*',
      'sec-fetch-mode': 'cors',
    });
  });

  it('goes through HTTPS_PROXY in a tunnel: the proxy reads neither key nor chat', async () => {
    const target = await model({ secure: true });
    const between = await proxy(target, `ana:${PASSWORD}`);
    const app = await worker({
      ANTHROPIC_BASE_URL: `model.example:${target.port}/v1/`,
      ANTHROPIC_AUTH_HEADER: 'x-api-key',
      HTTPS_PROXY: `http://ana:${PASSWORD}@127.0.0.1:${between.port}`,
      HTTP_PROXY: 'http://127.0.0.1:1',
    });
    // Several at once, in as many tunnels as needed.
    expect(new Set(await Promise.all(Array.from({ length: 5 }, reply)))).toEqual(new Set(['recorded']));
    expect(new Set(between.asked)).toEqual(new Set([`CONNECT model.example:${target.port}`]));
    expect(between.seen).toContain('proxy-authorization');
    expect(between.seen).not.toMatch(/qpxz|x-api-key|v1\/messages|hello/i);
    const call = { method: 'POST', path: '/v1/messages', headers: { 'x-api-key': KEY } };
    expect(target.requests).toMatchObject(Array(5).fill(call));
    expect(JSON.stringify(target.requests)).not.toMatch(/proxy-|"authorization"/i);
    expect(app.output()).not.toContain('qpxz');
  });

  it('goes through HTTP_PROXY to a model without TLS, by a name that only the proxy knows', async () => {
    const target = await model();
    const between = await proxy(target, `ana:${PASSWORD}`);
    await worker({
      ANTHROPIC_BASE_URL: 'http://model.example:8000',
      http_proxy: `ana:${PASSWORD}@127.0.0.1:${between.port}`,
    });
    expect(await reply()).toBe('recorded');
    expect(between.asked.filter((asked) => asked.startsWith('POST'))).toEqual([
      'POST http://model.example:8000/v1/messages',
    ]);
    expect(target.requests).toMatchObject([
      { headers: { host: 'model.example:8000', authorization: `Bearer ${KEY}` } },
    ]);
    expect(JSON.stringify(target.requests)).not.toContain('proxy-authorization');
  });

  it('goes through no proxy to a model on this machine', async () => {
    const target = await model();
    const away = `http://127.0.0.1:${await steadyPort()}`;
    await worker({ ANTHROPIC_BASE_URL: `127.0.0.1:${target.port}`, HTTP_PROXY: away, HTTPS_PROXY: away });
    expect(await reply()).toBe('recorded');
  });

  it('names the proxy’s variable in the log when the proxy is away, or wants another password', async () => {
    const target = await model({ secure: true });
    const between = await proxy(target, 'ana:another');
    const there = `http://ana:${PASSWORD}@127.0.0.1`;
    const ANTHROPIC_BASE_URL = `https://model.example:${target.port}`;
    const refused = await worker({ ANTHROPIC_BASE_URL, HTTPS_PROXY: `${there}:${between.port}` });
    expect(await failure(refused)).toContain('HTTPS_PROXY answered 407');
    await refused.stop();
    const lost = await worker({ ANTHROPIC_BASE_URL, HTTPS_PROXY: `${there}:${await steadyPort()}` });
    expect(await failure(lost)).toContain('HTTPS_PROXY cannot be reached');
    await lost.stop();
    for (const app of [refused, lost]) expect(app.output()).not.toContain('qpxz');
    expect(target.requests).toEqual([]);
  });

  it.each([
    ['ANTHROPIC_BASE_URL', `https://ana:${PASSWORD}@model.example`],
    ['ANTHROPIC_BASE_URL', `https://model.example?key=${PASSWORD}`],
    ['HTTPS_PROXY', `socks5://ana:${PASSWORD}@proxy`],
    ['ANTHROPIC_AUTH_HEADER', PASSWORD],
  ])('keeps the worker from starting when %s cannot be used, without printing its value', async (name, value) => {
    const env: Record<string, string> = { ANTHROPIC_BASE_URL: 'https://model.example', [name]: value };
    const words = await worker(env).then(
      () => 'It started.',
      (error: Error) => error.message,
    );
    expect(words).toContain(`- ${name} `);
    expect(words).not.toContain('qpxz');
  });
});
