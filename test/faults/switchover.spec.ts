import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import type pg from 'pg';
import { PgNotifications } from '#feed/pg-notifications.js';
import { collect, openStream, type StreamEvent, textOf } from '../support/events.js';
import { MovingAddress } from '../support/moving-address.js';
import { Pace } from '../support/pace.js';
import { type PostgresPair, startPostgresPair } from '../support/postgres-pair.js';
import { startRedis } from '../support/redis.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** In milliseconds: when a waiting client must have the end of a turn that ended on the new server. */
const SECONDS_MS = 10_000;

const onRedis = process.env['TEST_QUEUE'] === 'redis' ? it : it.skip;

const portOf = (server: pg.Pool): number => Number(new URL(server.options.connectionString ?? '').port);

const PIECES = Array.from({ length: 12 }, (_, n) => `piece ${n} `);

describe('a switchover, after which the old server is read-only and keeps its sessions', () => {
  let pair: PostgresPair;
  let stack: Stack;
  let redisAddress: Promise<MovingAddress> | undefined;
  beforeAll(async () => {
    // The migration gets no address of Redis. It only knows that the queue is there.
    pair = await startPostgresPair(process.env['TEST_QUEUE'] === 'redis' ? { REDIS_URL: 'redis://127.0.0.1' } : {});
    stack = await startStack({
      databaseUrl: pair.url,
      through: async (_, { REDIS_URL }) => {
        const nowhere: Record<string, string> = {};
        if (REDIS_URL === undefined) return nowhere;
        redisAddress ??= MovingAddress.start(Number(new URL(REDIS_URL).port));
        return { REDIS_URL: `redis://127.0.0.1:${(await redisAddress).port}` };
      },
    });
  });
  afterAll(async () => {
    await stack.stop();
    await pair.stop();
    await (await redisAddress)?.stop();
  });

  /** The service's sessions with a server. */
  const sessions = async (server: 'old' | 'other'): Promise<string[]> => {
    const { rows } = await pair[server].query<{ name: string }>(
      `SELECT application_name AS name FROM pg_stat_activity
        WHERE datname = current_database() AND (application_name LIKE 'rejoinder%' OR application_name = 'assistant-reply')`,
    );
    return rows.map(({ name }) => name);
  };
  const health = async (store: 'database' | 'queue' = 'database'): Promise<unknown[]> =>
    Promise.all(
      [stack.api.url, stack.workers[0]?.url].map(async (url) => {
        const answer = await fetch(`${url}/health/ready`);
        const { checks } = (await answer.json()) as { checks: Record<string, string> };
        return [answer.status, checks[store]];
      }),
    );

  it('is noticed within seconds, by clients that wait, follow or cancel, and in health and log', async () => {
    const [ana, ben, kim] = [stack.as('ana'), stack.as('ben'), stack.as('kim')];
    await stack.model.script('goes on beyond it', { pieces: PIECES, piece_delay_ms: 400 });
    await stack.model.script('never ends', { pieces: ['well'], stall_after: 1 });
    const waiting = ana.turn((await ana.chat()).id, 'goes on beyond it');
    const followed = await ben.turnAsync((await ben.chat()).id, 'goes on beyond it');
    const stalled = await kim.turnAsync((await kim.chat()).id, 'never ends');
    const stream = await openStream(stack.api.url, tokenFor('ben'), `/api/v1/jobs/${followed.id}/events`);
    const events = collect(stream);
    await until(async () => (await stack.model.allCalls()).length === 3, 'all calls');

    await pair.fence();
    const shut = [503, 'read_only'];
    await until(async () => isDeepStrictEqual(await health(), [shut, shut]), 'health to say so');
    await pair.promote();
    const pace = await Pace.watch();
    const begun = Date.now();
    const { status, body } = await waiting;
    expect([status, body.assistant_message?.content]).toEqual([200, PIECES.join('')]);
    expect(textOf(await events)).toBe(PIECES.join(''));
    expect(await ben.finalJob(followed.id)).toMatchObject({ status: 'succeeded', attempts: 1 });
    expect(Date.now() - begun).toBeLessThan(pace.bound(SECONDS_MS));

    const fine = [200, 'ok'];
    await until(async () => isDeepStrictEqual(await health(), [fine, fine]), 'health to say so');
    // No session of the service is left: pools, BullMQ's, and the listeners.
    await until(async () => (await sessions('old')).length === 0, 'all sessions to be left', SECONDS_MS);
    await until(async () => {
      const listening = (await sessions('other')).filter((name) => name.endsWith('-feed'));
      return listening.sort().join() === 'rejoinder-api-feed,rejoinder-worker-feed';
    }, 'both processes to listen to the other server');
    for (const app of [stack.api, ...stack.workers]) {
      expect(app.output()).toMatch(/the server of the listening connection is read-only now/);
      await until(
        async () => app.output().includes('listens again, on the primary'),
        'the log to say that it listens again',
      );
    }
    // The worker gets the notice of the cancel. Without it, the cancel would take three seconds.
    const asked = Date.now();
    expect((await kim.patch(`/api/v1/jobs/${stalled.id}`, { status: 'canceled' })).status).toBe(200);
    expect(Date.now() - asked).toBeLessThan(2_000);
    expect((await ana.turn((await ana.chat()).id, 'and on')).status).toBe(200);
  });

  it('is also noticed if the old server still accepts writes, but gets none', async () => {
    const { old, other, address } = pair;
    await old.query('ALTER SYSTEM RESET default_transaction_read_only');
    await old.query('SELECT pg_reload_conf()');
    address.moveTo(portOf(old));
    Logger.overrideLogger(false);
    const received: string[] = [];
    let missed = 0;
    const notifications = new PgNotifications(pair.url, 'rejoinder-test-feed', {
      check: 200,
      echo: 200,
      answer: 1_000,
    });
    notifications.on('said', { received: (text) => void received.push(text), missed: () => (missed += 1) });
    let written = old;
    await notifications.start({ query: (statement, values) => written.query(statement, values) });
    try {
      await old.query(`NOTIFY said, 'before'`);
      await until(async () => received.includes('before'), 'the first notice');
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      // Nothing is wrong, so no connection is replaced.
      expect(missed).toBe(1);
      written = other;
      address.moveTo(portOf(other));
      await until(async () => missed === 2, 'another connection', SECONDS_MS);
      await other.query(`NOTIFY said, 'after'`);
      await until(async () => received.includes('after'), 'the second notice', SECONDS_MS);
    } finally {
      await notifications.onApplicationShutdown();
    }
  });

  onRedis('is also noticed for Redis that has become a replica, by the connections of the feed, too', async () => {
    const lou = stack.as('lou');
    const address = await redisAddress;
    const other = await startRedis();
    const [oldRedis, otherRedis] = [stack.redis?.url ?? '', other.url].map((url) => new Redis(url));
    try {
      await oldRedis?.replicaof('127.0.0.1', Number(new URL(other.url).port));
      const replica = [200, 'read_only'];
      await until(async () => isDeepStrictEqual(await health('queue'), [replica, replica]), 'health to say so');
      address?.moveTo(Number(new URL(other.url).port));
      const fine = [200, 'ok'];
      await until(async () => isDeepStrictEqual(await health('queue'), [fine, fine]), 'health to say so', SECONDS_MS);
      // All connections lead to the new primary: two or more of the queue, and two of each end of the feed.
      await until(
        async () => {
          const clients = String(await otherRedis?.client('LIST'));
          return ['api', 'worker'].every((app) =>
            ['hears', 'says'].every((n) => clients.includes(`rejoinder-${app}-feed-${n}`)),
          );
        },
        'the connections of the feed',
        2 * SECONDS_MS,
      );
      await stack.model.script('text on its way', { pieces: PIECES, piece_delay_ms: 20, stall_after: PIECES.length });
      const job = await lou.turnAsync((await lou.chat()).id, 'text on its way');
      const stream = await openStream(stack.api.url, tokenFor('lou'), `/api/v1/jobs/${job.id}/events`);
      const events: StreamEvent[] = [];
      for await (const event of stream.events) {
        events.push(event);
        if (textOf(events) === PIECES.join('')) break;
      }
      expect((await lou.patch(`/api/v1/jobs/${job.id}`, { status: 'canceled' })).status).toBe(200);
    } finally {
      oldRedis?.disconnect();
      otherRedis?.disconnect();
      await other.stop();
    }
  });

  it('stops a start on a read-only server, with a message that says so', async () => {
    await pair.other.query('ALTER SYSTEM SET default_transaction_read_only = on');
    await pair.other.query('SELECT pg_reload_conf()');
    for (const start of [() => stack.startApi(), () => stack.startWorker()]) {
      await expect(start()).rejects.toThrow(/ended with 1:\n.*The database of DATABASE_URL only reads/s);
    }
  });
});
