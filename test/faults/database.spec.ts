import { setTimeout as pause } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timeLimit } from '#process/time-limit.js';
import type { Answer } from '../support/client.js';
import { ledgerOf } from '../support/ledger.js';
import { Pace } from '../support/pace.js';
import { type Stack, startStack } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

describe('a PostgreSQL that fails during work', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ ownPostgres: true });
  });
  afterAll(() => stopSound(stack));

  const ended = async (jobId: string): Promise<unknown> => {
    const { rows } = await stack.database.query('SELECT status, attempts FROM jobs WHERE id = $1', [jobId]);
    return rows[0];
  };
  const expectUnavailable = ({ status, body, headers }: Answer): void =>
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'unavailable', '2']);

  it('cuts its connections: each request gets an answer or a 503, pools recover, and every turn is done once', async () => {
    await stack.model.script('cut off', { pieces: ['one ', 'two ', 'three'], piece_delay_ms: 300 });
    const users = Array.from({ length: 40 }, (_, n) => stack.as(`cut-${n}`));
    const chats = await Promise.all(users.map((user) => user.chat()));
    const seen: Answer[] = [];
    const send = async (n: number): Promise<Answer> => {
      const headers = { 'idempotency-key': randomUUID() };
      for (;;) {
        const answer = await (users[n] ?? stack.as('')).turn(chats[n]?.id ?? '', `cut off, ${n}`, headers);
        seen.push(answer);
        if (answer.status !== 503) return answer;
        await pause(200);
      }
    };
    const sent = Promise.all(users.map((_, n) => pause(n * 50).then(() => send(n))));
    for (let n = 0; n < 6; n++) {
      await pause(400);
      await stack.database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rejoinder%'`,
      );
    }
    const answers = await sent;
    for (const answer of seen) {
      if (answer.status === 503) expectUnavailable(answer);
      else expect([200, 202]).toContain(answer.status);
    }
    for (const [n, { status, body }] of answers.entries()) {
      const jobId = (status === 202 ? body.id : body.job_id) as string;
      expect((await users[n]?.finalJob(jobId))?.status).toBe('succeeded');
    }
    expect((await stack.as('cut-0').get('/api/v1/chats')).status).toBe(200);
    expect((await stack.as('cut-0').get('/health/ready')).status).toBe(200);
  });

  it('is killed and comes back: 503 meanwhile, and turns under way end with their first attempt', async () => {
    const [slow, quick, other] = [stack.as('slow'), stack.as('quick'), stack.as('other')];
    const [chat, another] = [await slow.chat(), await quick.chat()];
    await stack.model.script('goes on beyond it', { pieces: Array(20).fill('word '), piece_delay_ms: 400 });
    await stack.model.script('ends during it', { pieces: ['all ', 'of ', 'it'], piece_delay_ms: 600 });
    const waiting = slow.turn(chat.id, 'goes on beyond it');
    const job = await quick.turnAsync(another.id, 'ends during it');
    await until(
      async () => (await stack.model.allCalls()).filter((c) => c.outcome === 'running').length === 2,
      'both calls',
    );
    await stack.postgres?.kill();
    await until(
      async () => (await stack.model.calls('ends during it'))[0]?.outcome === 'completed',
      'the reply that cannot be written',
    );
    const pace = await Pace.watch();
    const begun = Date.now();
    expectUnavailable(await other.get('/api/v1/chats'));
    expectUnavailable(await other.post('/api/v1/assistants/support/chats'));
    expectUnavailable(await quick.turn(another.id, 'not now', { prefer: 'respond-async' }));
    expectUnavailable(await quick.get(`/api/v1/jobs/${job.id}`));
    expectUnavailable(await quick.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' }));
    expect((await other.get('/health/ready')).status).toBe(503);
    expect((await other.get('/health/live')).status).toBe(200);
    expect(Date.now() - begun).toBeLessThan(pace.bound(10_000));
    await stack.postgres?.restart();

    await until(async () => (await other.get('/health/ready')).status === 200, 'the database');
    expect(await quick.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 1 });
    // A client that waited gets both messages, or the job to go on with.
    const { status, body } = await waiting;
    expect([200, 202]).toContain(status);
    const jobId = (status === 202 ? body.id : body.job_id) as string;
    await slow.finalJob(jobId);
    expect(await ended(jobId)).toEqual({ status: 'succeeded', attempts: 1 });
    expect(await stack.model.calls('goes on beyond it')).toHaveLength(1);
    expect(await stack.model.calls('ends during it')).toHaveLength(1);
    expect(await ledgerOf(stack, job.id)).toMatchObject([{ outcome: 'completed' }]);
    expect((await quick.turn(another.id, 'and on')).status).toBe(200);
  });

  it('cuts every connection of a process that starts: it works all the same, and stops on SIGTERM', async () => {
    let over = false;
    let cuts = 0;
    const cutting = (async () => {
      while (!over) {
        const { rows } = await stack.database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rejoinder-queue%'`,
        );
        cuts += rows.length;
        await pause(1);
      }
    })();
    await Promise.all(stack.workers.map((worker) => worker.stop()));
    const [api, worker] = await Promise.all([stack.startApi(), stack.startWorker()]);
    await pause(2_000);
    over = true;
    await cutting;
    if (stack.redis === undefined) expect(cuts).toBeGreaterThan(0);
    for (const { url } of [api, worker]) {
      await until(async () => {
        const ready = await fetch(`${url}/health/ready`, { signal: timeLimit(3_000).signal });
        return ((await ready.json()) as { checks: { queue: string } }).checks.queue === 'ok';
      }, `the queue of ${url}`);
    }
    const eva = stack.as('eva', api);
    const chat = await eva.chat();
    expect((await eva.turn(chat.id, 'the first')).status).toBe(200);
    expect(worker.output()).not.toContain('no worker has claimed');
    expect((await eva.turn(chat.id, 'and the next')).status).toBe(200);
    expect(await api.stop()).toBe(0);
  });

  it('dies between a turn’s commit and its answer: sent again with its key, it is the same turn', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    await stack.model.script('did you get it', { pieces: ['yes ', 'I ', 'did'], piece_delay_ms: 1_000 });
    const headers = { 'idempotency-key': randomUUID() };
    // The client gets no answer to the first request, as if its connection had been cut.
    const leave = new AbortController();
    const first = ana.request('POST', `/api/v1/chats/${chat.id}/turns`, {
      body: { user_message: 'did you get it?' },
      headers,
      signal: leave.signal,
    });
    await until(async () => (await stack.model.calls('did you get it')).length > 0, 'the call');
    leave.abort();
    await expect(first).rejects.toThrow();
    await stack.postgres?.kill();
    await stack.api.kill();
    await stack.postgres?.restart();
    const api = await stack.again(stack.api);
    const again = await stack.as('ana', api).turn(chat.id, 'did you get it?', headers);
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([200, 'true']);
    expect(again.body.assistant_message.content).toBe('yes I did');
    expect(await stack.model.calls('did you get it')).toHaveLength(1);
  });
});
