import { connect } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timeLimit } from '#process/time-limit.js';
import { borrowStack } from '../support/borrow-stack.js';
import { Client } from '../support/client.js';
import { onServer } from '../support/database.js';
import { metricsOf } from '../support/figures.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** Faults that an operator mends. */
const CODES = ['model_unauthorized', 'model_budget', 'model_misconfigured'];

describe('health, on the API’s port and on the worker’s', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
  });
  afterAll(() => stack.stop());

  const ask = async (path: string): Promise<{ status: number; body: any }[]> =>
    Promise.all(
      [stack.api.url, stack.workers[0]?.url].map(async (url) => {
        const response = await fetch(`${url}/health/${path}`, {
          signal: timeLimit(5_000).signal,
          // A probe that caches must not get a 304.
          headers: { 'if-none-match': '*' },
        });
        expect(response.headers.get('x-request-id')).toBeTruthy();
        expect(response.headers.get('etag')).toBeNull();
        return { status: response.status, body: await response.json() };
      }),
    );

  it('says alive and ready, without a token, while all is well', async () => {
    for (const { status, body } of await ask('live')) expect([status, body]).toEqual([200, { status: 'ok' }]);
    const ready = { status: 'ok', checks: { database: 'ok', queue: 'ok', model: 'ok' } };
    const [api, worker] = await ask('ready');
    expect(api).toEqual({ status: 200, body: ready });
    expect(worker).toMatchObject({ status: 200, body: { ...ready, model: { findings: [] } } });
  });

  it('stays ready while turns wait for an operator, and names the reason, as the metrics do; then they go on', async () => {
    const lou = stack.as('lou');
    const operator = new Client(stack.api.url, tokenFor('operator', { scope: 'admin' }));
    const model = async (): Promise<unknown[]> =>
      (await ask('ready')).map(({ status, body }) => [status, body.checks.model]);
    const holds = async (): Promise<Record<string, number | undefined>> => {
      const figures = await metricsOf(stack.workers[0]?.url ?? '');
      const of = (code: string): number | undefined => figures.get(`rejoinder_model_holds{code="${code}"}`);
      return Object.fromEntries(CODES.map((code) => [code, of(code)]));
    };
    expect(await holds()).toEqual({ model_unauthorized: 0, model_budget: 0, model_misconfigured: 0 });
    await stack.model.account('bad_key');
    const job = await lou.turnAsync((await lou.chat()).id, 'who pays?');
    const refused = [200, 'model_unauthorized'];
    await until(async () => isDeepStrictEqual(await model(), [refused, refused]), 'both to say so');
    expect(await holds()).toEqual({ model_unauthorized: 1, model_budget: 0, model_misconfigured: 0 });
    const waiting = await until(async () => {
      const { body } = await operator.get(`/api/v1/admin/jobs/${job.id}`);
      return body.status === 'queued' && body;
    }, 'the turn to wait');
    expect(waiting).toMatchObject({ why: { code: 'waiting_for_operator' }, attempts_left: 5 });
    await stack.model.account('ok');
    expect((await lou.finalJob(job.id)).status).toBe('succeeded');
    const fine = [200, 'ok'];
    await until(async () => isDeepStrictEqual(await model(), [fine, fine]), 'both to say that all is well');
    expect((await holds())['model_unauthorized']).toBe(0);
  });

  it('says not ready but alive while the database is away, so that nothing is restarted in vain', async () => {
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

  it('answers only health and metrics on the worker’s port', async () => {
    for (const path of ['/', '/api/v1/chats', '/docs']) {
      const response = await fetch(`${stack.workers[0]?.url}${path}`);
      expect([response.status, await response.json()]).toMatchObject([404, { code: 'not_found' }]);
    }
  });

  it('is answered on the worker’s port, however many others connect there', async () => {
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

  it('says not ready but alive once a worker stops and still has work', async () => {
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
