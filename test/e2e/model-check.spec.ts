import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { metricsOf } from '../support/figures.js';
import type { App } from '../support/processes.js';
import type { Stack } from '../support/stack.js';
import { until } from '../support/until.js';

const MODELS = [
  {
    type: 'model',
    id: 'claude-sonnet-5-5',
    lifecycle: 'deprecated',
    deprecated_at: '2026-10-01T00:00:00Z',
    retires_at: '2027-04-01T00:00:00Z',
    max_tokens: 8_000,
    capabilities: null,
  },
];

describe('the check of the models', () => {
  let stack: Stack;
  let server: Server;
  let url: string;
  let answer: (response: ServerResponse) => void;
  let asked: { path: string; key: unknown }[];
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 0 });
    server = createServer((request, response) => {
      asked.push({ path: request.url ?? '', key: request.headers.authorization });
      answer(response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    asked = [];
  });
  afterAll(async () => {
    await stack.stop();
    server.closeAllConnections();
    server.close();
  });

  const startWorker = (): Promise<App> =>
    stack.startWorker({ ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: 'the key', LOG_FORMAT: 'json' });
  const readiness = async (worker: App): Promise<{ status: number; body: any }> => {
    const response = await fetch(`${worker.url}/health/ready`);
    return { status: response.status, body: await response.json() };
  };
  const linesOf = (worker: App): any[] =>
    worker
      .output()
      .split('\n')
      // The last one may still be on its way.
      .slice(0, -1)
      .filter((line) => line.includes('"context":"ModelWatch"'))
      .map((line) => JSON.parse(line));

  it('logs findings as warnings, and shows them in the readiness and metrics of the worker, which is ready all the same', async () => {
    answer = (response) =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ data: MODELS, has_more: false, first_id: null, last_id: null }));
    const worker = await startWorker();
    const { status, body } = await until(async () => {
      const ready = await readiness(worker);
      return ready.body.model.findings.length > 0 && ready;
    }, 'the findings');
    expect([status, body.status]).toEqual([200, 'ok']);
    const slugs = ['billing', 'general', 'support'];
    expect(body.model).toEqual({
      checked_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      findings: slugs.flatMap((assistant) =>
        ['deprecated', 'max_output_tokens'].map((kind) => ({
          assistant,
          model: 'claude-sonnet-5-5',
          kind,
          message: expect.stringContaining(`"${assistant}"`),
        })),
      ),
    });
    expect(body.model.findings[0].message).toContain('retirement is planned for 2027-04-01');
    const lines = await until(async () => linesOf(worker).length >= 6 && linesOf(worker), 'the warnings');
    expect(lines.map(({ level, assistant, msg }) => [level, assistant, msg])).toEqual(
      body.model.findings.map(({ assistant, message }: any) => ['warn', assistant, message]),
    );
    expect((await metricsOf(worker.url)).get('rejoinder_model_findings')).toBe(6);
    expect(asked).toEqual([{ path: expect.stringMatching(/^\/v1\/models\?/), key: 'Bearer the key' }]);
    expect(await worker.stop()).toBe(0);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ['refuses the question', (response) => response.writeHead(404).end()],
    ['answers with a page', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>')],
    [
      'lists models in another shape',
      (response) =>
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end('{"object":"list","data":[{"id":"claude-sonnet-5-5","object":"model"}]}'),
    ],
    ['is silent', () => undefined],
    ['falls silent', (response) => response.writeHead(200, { 'content-type': 'application/json' }).write('{"data":[')],
  ])('logs one line, and finds nothing, if a server %s', async (_, how) => {
    answer = how;
    const worker = await startWorker();
    // The worker works while it waits for the server.
    expect(await readiness(worker)).toMatchObject({ status: 200, body: { model: { findings: [] } } });
    const [logged] = await until(async () => {
      const lines = linesOf(worker);
      return lines.length > 0 && lines;
    }, 'the line');
    expect(logged).toMatchObject({ level: 'info', msg: expect.stringContaining('does not check the assistants') });
    expect((await readiness(worker)).body.model).toEqual({ checked_at: null, findings: [] });
    expect(linesOf(worker)).toHaveLength(1);
    expect(await worker.stop()).toBe(0);
  });

  it('does not keep a worker from stopping', async () => {
    answer = () => undefined;
    const worker = await startWorker();
    await until(async () => asked.length > 0, 'the question');
    expect(await worker.stop()).toBe(0);
    expect(linesOf(worker)).toEqual([]);
  });
});
