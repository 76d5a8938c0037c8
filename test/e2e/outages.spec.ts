import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { onServer } from '../support/database.js';
import { Pace } from '../support/pace.js';
import { onQueue } from '../support/queue.js';
import type { Stack } from '../support/stack.js';
import { until } from '../support/until.js';

describe('when a store fails', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
  });
  afterAll(() => stack.stop());

  it('a silent connection is given up: 503 with Retry-After, and then all is well again', async () => {
    const ana = stack.as('ana');
    await ana.get('/api/v1/chats');
    const { rows } = await stack.database.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rejoinder-api'`,
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { pid } of rows) process.kill(pid as number, 'SIGSTOP');
    try {
      const pace = await Pace.watch();
      const begun = Date.now();
      const answer = await ana.get('/api/v1/chats');
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
      expect(Date.now() - begun).toBeLessThan(pace.bound(16_000));
      await until(async () => (await ana.get('/api/v1/chats')).status === 200, 'a connection that answers');
    } finally {
      for (const { pid } of rows) process.kill(pid as number, 'SIGCONT');
    }
  });

  it('a database that is away for longer than a lease costs a running turn no attempt', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    await stack.model.script('through it all', {
      pieces: Array.from({ length: 36 }, (_, n) => `${n} `),
      piece_delay_ms: 500,
    });
    const job = await ben.turnAsync(chat.id, 'through it all');
    await until(async () => (await ben.get(`/api/v1/jobs/${job.id}`)).body.status === 'running', 'the attempt');
    await onServer(async (server) => {
      await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS false`);
      await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
        stack.databaseName,
      ]);
      await pause(12_000);
      await server.query(`ALTER DATABASE ${stack.databaseName} ALLOW_CONNECTIONS true`);
    });
    await until(async () => (await ben.get(`/api/v1/jobs/${job.id}`)).status === 200, 'the database');
    expect(await ben.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 1 });
    expect(await stack.model.calls('through it all')).toHaveLength(1);
  });

  it('a queue that lost its tickets gets them back, and a long one gets none twice', async () => {
    await Promise.all(stack.workers.map((worker) => worker.stop()));
    const worker = await stack.startWorker({ WORKER_CONCURRENCY: '1' });
    await stack.model.script('one by one', { delay_ms: 300 });
    const users = Array.from({ length: 50 }, (_, n) => stack.as(`user-${n}`));
    const jobs = await Promise.all(users.map(async (user) => user.turnAsync((await user.chat()).id, 'one by one')));
    const tickets = (): Promise<number> => onQueue(stack, (queue) => queue.getJobCountByTypes('waiting', 'active'));
    const unfinished = async (): Promise<number> => {
      const { rows } = await stack.database.query(`SELECT count(*)::int AS n FROM jobs WHERE finished_at IS NULL`);
      return rows[0]?.n as number;
    };
    // Longer than it takes until a job counts as overdue.
    await pause(8_000);
    const left = await unfinished();
    expect(left).toBeGreaterThan(10);
    // And the ticket of a job that has just ended.
    expect(await tickets()).toBeLessThanOrEqual(left + 1);

    // The reconciler may have begun to wake workers anew by the time they are counted.
    await onQueue(stack, (queue) =>
      until(async () => {
        await queue.drain();
        return (await queue.getJobCountByTypes('waiting', 'active')) <= 2;
      }, 'an empty queue'),
    );
    const last = jobs.at(-1)?.id ?? '';
    expect((await users.at(-1)?.finalJob(last))?.status).toBe('succeeded');
    await until(async () => (await unfinished()) === 0, 'the rest');
    expect(await stack.model.calls('one by one')).toHaveLength(50);
    expect(await worker.stop()).toBe(0);
  });
});
