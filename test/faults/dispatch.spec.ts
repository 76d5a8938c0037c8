import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '#database/data-source.js';
import { newId } from '#database/ids.js';
import { acceptTurn } from '#jobs/accept.js';
import { borrowStack } from '../support/borrow-stack.js';
import { Pace } from '../support/pace.js';
import { onQueue, takeTicket } from '../support/queue.js';
import type { Stack } from '../support/stack.js';
import { stopSound } from '../support/sweep.js';
import { until } from '../support/until.js';

const onRedis = process.env['TEST_QUEUE'] === 'redis' ? it : it.skip;

describe('workers find in the database what the queue has lost', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack({ ownWorkers: 1 });
  });
  afterAll(() => stopSound(stack));

  const turns = (name: string, count: number): Promise<[string, string][]> =>
    Promise.all(
      Array.from({ length: count }, async (_, n): Promise<[string, string]> => {
        const user = stack.as(`${name}-${n}`);
        return [`${name}-${n}`, (await user.turnAsync((await user.chat()).id, `${name}, ${n}`)).id];
      }),
    );
  const allSucceed = async (jobs: readonly [string, string][]): Promise<void> => {
    const ended = await Promise.all(jobs.map(([user, id]) => stack.as(user).finalJob(id)));
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['succeeded']));
  };

  it('a turn whose process died after the commit, before it made a ticket', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    const options = dataSourceOptions({ url: stack.databaseUrl, poolSize: 1, applicationName: 'dies' });
    const source = await new DataSource(options).initialize();
    const jobId = newId();
    await acceptTurn(source.manager, {
      jobId,
      chatId: chat.id,
      userId: 'ana',
      assistantSlug: undefined,
      content: 'is anybody coming?',
      metadata: {},
      requestId: 'r',
      requestKey: undefined,
    });
    await source.destroy();
    expect(await ana.finalJob(jobId)).toMatchObject({ status: 'succeeded', attempts: 1 });
  });

  it('a turn whose ticket was taken by a worker that died before it claimed the job', async () => {
    const ben = stack.as('ben');
    const chat = await ben.chat();
    await Promise.all(stack.workers.map((worker) => worker.stop()));
    const job = await ben.turnAsync(chat.id, 'taken and dropped');
    expect(await takeTicket(stack)).toEqual({ jobId: job.id });
    await stack.startWorker();
    expect(await ben.finalJob(job.id)).toMatchObject({ status: 'succeeded', attempts: 1 });
  });

  it('all turns of a queue that was emptied, those under way included', async () => {
    await stack.model.script('emptied', { pieces: ['a ', 'b ', 'c'], piece_delay_ms: 400 });
    const jobs = await turns('emptied', 60);
    await until(async () => (await stack.model.calls('emptied')).length > 0, 'the first attempts');
    await onQueue(stack, (queue) => queue.obliterate({ force: true }));
    await allSucceed(jobs);
    expect(await stack.model.calls('emptied')).toHaveLength(60);
  });

  onRedis('all turns of a Redis that was flushed', async () => {
    await stack.model.script('flushed', { pieces: ['a ', 'b ', 'c'], piece_delay_ms: 300 });
    const jobs = await turns('flushed', 60);
    const redis = new Redis(stack.redis?.url ?? '');
    await redis.flushall();
    redis.disconnect();
    await allSucceed(jobs);
    expect((await stack.as('after').turn((await stack.as('after').chat()).id, 'and the next')).status).toBe(200);
  });

  onRedis('all turns that came while Redis was away: Redis comes back empty, and the turns are answered', async () => {
    const kim = stack.as('kim');
    const chats = [await kim.chat('support'), await kim.chat('billing'), await kim.chat('general')];
    await stack.redis?.kill();
    const accepted: string[] = [];
    for (const chat of chats.slice(0, 2)) {
      const pace = await Pace.watch();
      const begun = Date.now();
      accepted.push((await kim.turnAsync(chat.id, `while it is away, ${chat.assistant}`)).id);
      expect(Date.now() - begun).toBeLessThan(pace.bound(900));
    }
    // A client that waits gets an answer that names the job.
    const waited = await kim.turn(chats[2]?.id ?? '', 'waiting all the same', { prefer: 'wait=1' });
    expect([waited.status, waited.body.status]).toEqual([202, 'queued']);
    accepted.push(waited.body.id as string);
    for (const app of [stack.api.url, ...stack.workers.slice(-1).map(({ url }) => url)]) {
      const ready = await fetch(`${app}/health/ready`).catch(() => undefined);
      if (ready === undefined) continue;
      expect([ready.status, await ready.json()]).toMatchObject([
        200,
        { status: 'ok', checks: { database: 'ok', queue: 'down' } },
      ]);
    }
    await stack.redis?.restart();
    for (const id of accepted) expect((await kim.finalJob(id)).status).toBe('succeeded');
    await until(async () => (await kim.get('/health/ready')).body.checks.queue === 'ok', 'the queue');
  });

  onRedis('turns that come while Redis hangs are accepted without waiting for it', async () => {
    const leo = stack.as('leo');
    const chats = [await leo.chat('support'), await leo.chat('billing'), await leo.chat('general')];
    const { process: redis } = stack.redis ?? {};
    redis?.kill('SIGSTOP');
    try {
      const took: number[] = [];
      const pace = await Pace.watch();
      for (const chat of chats) {
        const begun = Date.now();
        await leo.turnAsync(chat.id, `while it hangs, ${chat.assistant}`);
        took.push(Date.now() - begun);
      }
      expect(Math.max(...took)).toBeLessThan(pace.bound(900));
      // The process knows now that Redis hangs, so it does not wait again.
      expect(Math.min(...took)).toBeLessThan(pace.bound(400));
    } finally {
      redis?.kill('SIGCONT');
    }
    await until(async () => {
      const { rows } = await stack.database.query(
        `SELECT count(*)::int AS n FROM jobs WHERE user_id = 'leo' AND status = 'succeeded'`,
      );
      return rows[0]?.n === 3;
    }, 'their replies');
  });
});
