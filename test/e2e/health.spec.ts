import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { onServer } from '../support/database.js';
import { type Stack, startStack } from '../support/stack.js';
import { until } from '../support/until.js';

describe('health, on the API’s port and on the worker’s', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  const ask = async (path: string): Promise<{ status: number; body: any }[]> =>
    Promise.all(
      [stack.api.url, stack.workers[0]?.url].map(async (url) => {
        const response = await fetch(`${url}/health/${path}`, {
          signal: AbortSignal.timeout(5_000),
          // A probe that remembers must not be told that nothing has changed.
          headers: { 'if-none-match': '*' },
        });
        expect(response.headers.get('x-request-id')).toBeTruthy();
        expect(response.headers.get('etag')).toBeNull();
        return { status: response.status, body: await response.json() };
      }),
    );

  it('says alive and ready, to anybody, while all is well', async () => {
    for (const { status, body } of await ask('live')) expect([status, body]).toEqual([200, { status: 'ok' }]);
    const ready = { status: 'ok', checks: { database: 'ok', queue: 'ok', model: 'ok' } };
    const [api, worker] = await ask('ready');
    expect(api).toEqual({ status: 200, body: ready });
    expect(worker).toMatchObject({ status: 200, body: { ...ready, model: { findings: [] } } });
  });

  it('says not ready while the database is away, but alive, so that nothing is restarted in vain', async () => {
    await onServer(async (server) => {
      await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS false`);
      await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
        stack.databaseName,
      ]);
      try {
        for (const { status, body } of await ask('ready')) {
          expect([status, body.status, body.checks.database]).toEqual([503, 'unavailable', 'down']);
        }
        for (const { status } of await ask('live')) expect(status).toBe(200);
      } finally {
        await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS true`);
      }
    });
    await until(async () => (await ask('ready')).every(({ status }) => status === 200), 'both to be ready again');
  });

  it('answers nothing else on the worker’s port', async () => {
    for (const path of ['/', '/api/v1/chats', '/docs']) {
      const response = await fetch(`${stack.workers[0]?.url}${path}`);
      expect([response.status, await response.json()]).toMatchObject([404, { code: 'not_found' }]);
    }
  });

  it('is answered on the worker’s port, whoever else connects there', async () => {
    const { hostname, port } = new URL(stack.workers[0]?.url ?? '');
    let open = 0;
    const idle = Array.from({ length: 300 }, () => {
      const socket = connect(Number(port), hostname, () => (open += 1));
      return socket.on('error', () => undefined).once('close', () => (open -= 1));
    });
    try {
      await until(async () => idle.every(({ connecting }) => !connecting), 'all to connect');
      await until(async () => open <= 100, 'those to be left that are too many');
      expect((await fetch(`${stack.workers[0]?.url}/health/live`)).status).toBe(200);
    } finally {
      idle.forEach((socket) => socket.destroy());
    }
  });

  it('says not ready, but alive, once a worker is told to stop and still has work', async () => {
    const worker = stack.workers[0];
    const ana = stack.as('ana');
    await stack.model.script('takes its time', { hang_before_headers: true });
    const job = await ana.turnAsync((await ana.chat()).id, 'takes its time');
    await until(async () => (await ana.get(`/api/v1/jobs/${job.id}`)).body.status === 'running', 'the attempt');
    const stopped = worker?.stop();
    const ready = await until(async () => {
      const response = await fetch(`${worker?.url}/health/ready`);
      return response.status === 503 && (await response.json());
    }, 'the worker to say so');
    expect(ready).toMatchObject({ status: 'unavailable', checks: { database: 'ok', queue: 'ok' } });
    expect((await fetch(`${worker?.url}/health/live`)).status).toBe(200);
    await ana.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' });
    expect(await stopped).toBe(0);
  });
});
