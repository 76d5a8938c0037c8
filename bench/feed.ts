/**
 * The reply feed beside BullMQ's Relay, on PostgreSQL and on Redis: `npm run bench -- feed [SECONDS]`, the time of each part.
 *
 * Both ends are in this process, each with its own connections. The stores run only for this bench. Each piece carries the time of its
 * sending.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { type ConnectionOptions, createPostgresRelayBackend, Relay } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';
import { JobFeed } from '#feed/job-feed.js';
import { PgNotifications } from '#feed/pg-notifications.js';
import { PostgresReplyFeed } from '#feed/postgres-reply-feed.js';
import { RedisChannels } from '#feed/redis-channels.js';
import { RedisReplyFeed } from '#feed/redis-reply-feed.js';
import type { FeedEnd, Piece } from '#feed/reply-feed.js';
import { QUEUE_PREFIX, queueConnection, type QueueStore } from '#queue/connection.js';
import { migrateQueue } from '#queue/migrate-queue.js';
import { has } from '../test/support/machine.js';
import { startRedis } from '../test/support/redis.js';
import { startEmbeddedPostgres } from '../tools/embedded-postgres.js';
import { percentile } from './percentile.js';

const SECONDS = Number(process.argv[2] ?? 10);
const ATTEMPTS = 100;
/** As in the worker. */
const COALESCE_MS = 40;
/** The longest wait for pieces under way, in milliseconds. */
const SETTLE_MS = 5_000;
const TEXT = ' a few words of a reply, as models send them';

/** One end of a feed, as a process has it. */
interface End {
  /** `onLoss` is called when pieces may have been missed, if the feed reports that. */
  follow(jobId: string, onText: (text: string) => void, onLoss: () => void): Promise<unknown>;
  /** @returns for each piece: it was sent */
  publish(pieces: readonly Piece[]): Promise<readonly boolean[]>;
  close(): Promise<unknown>;
}

interface Candidate {
  readonly name: string;
  readonly on: 'PostgreSQL' | 'Redis';
  open(end: FeedEnd): Promise<End>;
}

/** The connections of a store. */
interface Connections {
  count(): Promise<number>;
  /** Cuts all connections but the one that asks. */
  cut(): Promise<unknown>;
}

const all = (count: number, value: boolean): boolean[] => Array.from({ length: count }, () => value);

function ourPostgres(store: QueueStore): Candidate {
  return {
    name: 'reply feed',
    on: 'PostgreSQL',
    open: async (side) => {
      const notifications = new PgNotifications(store.databaseUrl, `bench-${side}`);
      const jobs = new JobFeed(notifications);
      const feed = new PostgresReplyFeed(notifications, side);
      await notifications.start({ query: () => Promise.reject(new Error('There is no pool.')) });
      return {
        follow: async (jobId, onText, onLoss) => {
          feed.subscribe(jobId, (piece) => piece && onText(textOf(piece)));
          jobs.subscribe(jobId, () => onLoss());
        },
        publish: async (pieces) => all(pieces.length, await feed.publish(pieces)),
        close: () => notifications.onApplicationShutdown(),
      };
    },
  };
}

function ourRedis(redisUrl: string): Candidate {
  return {
    name: 'reply feed',
    on: 'Redis',
    open: async (side) => {
      const redis = new RedisChannels(redisUrl, `bench-${side}`);
      const feed = new RedisReplyFeed(redis, side);
      feed.start();
      while (!(await feed.publish([{ jobId: 'none', attempt: 0, kind: 'text', offset: 0, text: '' }]))) await sleep(10);
      return {
        follow: async (jobId, onText, onLoss) => {
          feed.subscribe(jobId, (piece) => (piece === undefined ? onLoss() : onText(textOf(piece))));
          while (!(await feed.ask(jobId, { attempt: 0, text: 0, reasoning: 0, source: 0 }))) await sleep(10);
        },
        publish: async (pieces) => all(pieces.length, await feed.publish(pieces)),
        close: async () => redis.onApplicationShutdown(),
      };
    },
  };
}

/** `bundled`: all pieces of a publication are one message, which every reader gets. Otherwise each job has its own topic. */
function relay(store: QueueStore, bundled: boolean): Candidate {
  return {
    name: bundled ? 'Relay, in bundles' : 'Relay',
    on: store.redisUrl === undefined ? 'PostgreSQL' : 'Redis',
    open: async () => {
      const relay = new Relay<ConnectionOptions>({
        connection: queueConnection(store, 'worker'),
        prefix: QUEUE_PREFIX,
        namespace: bundled ? 'bundles' : 'pieces',
        ...(store.redisUrl === undefined && { backend: createPostgresRelayBackend as never }),
      });
      relay.on('error', () => undefined);
      await relay.waitUntilReady();
      const subscribers = new Map<string, (text: string) => void>();
      const sent = async (topic: string, data: unknown): Promise<boolean> =>
        relay.publish(topic, data).then(
          () => true,
          () => false,
        );
      return {
        follow: async (jobId, onText, onLoss) => {
          if (subscribers.size === 0) relay.on('recovered', onLoss);
          subscribers.set(jobId, onText);
          if (!bundled) return relay.subscribe<Piece>(`pieces.${jobId}`, ({ data }) => onText(textOf(data)));
          if (subscribers.size > 1) return;
          return relay.subscribe<Piece[]>('pieces', ({ data }) => {
            for (const piece of data) subscribers.get(piece.jobId)?.(textOf(piece));
          });
        },
        publish: async (pieces) =>
          bundled
            ? all(pieces.length, await sent('pieces', pieces))
            : Promise.all(pieces.map((piece) => sent(`pieces.${piece.jobId}`, piece))),
        close: () => relay.close(),
      };
    },
  };
}

/** The text of a piece; these benches send no other pieces. */
const textOf = (piece: Piece): string => (piece.kind === 'text' ? piece.text : '');

async function measure(candidate: Candidate, connections: Connections): Promise<Record<string, string | number>> {
  const jobs = Array.from({ length: ATTEMPTS }, (_, n) => `job-${n}`);
  const none = await connections.count();
  const reader = await candidate.open('reads');
  let took: number[] = [];
  let received = 0;
  let losses = 0;
  let lastReceived = 0;
  let silent = 0;
  const onPiece = (text: string): void => {
    const now = performance.now();
    received += 1;
    took.push(now - Number(text.slice(0, text.indexOf(' '))));
    silent = Math.max(silent, now - lastReceived);
    lastReceived = now;
  };
  for (const job of jobs) await reader.follow(job, onPiece, () => (losses += 1));
  const writer = await candidate.open('writes');

  const publish = async (): Promise<number> => {
    const text = `${performance.now()}${TEXT}`;
    const sent = await writer.publish(
      jobs.map((jobId) => ({ jobId, attempt: 1, kind: 'text' as const, offset: 0, text })),
    );
    return sent.filter(Boolean).length;
  };
  const paced = async (ms: number): Promise<{ tried: number; sent: number }> => {
    const until = performance.now() + ms;
    let tried = 0;
    let sent = 0;
    while (performance.now() < until) {
      const next = performance.now() + COALESCE_MS;
      tried += ATTEMPTS;
      sent += await publish();
      await sleep(Math.max(0, next - performance.now()));
    }
    return { tried, sent };
  };
  const settled = async (count: number): Promise<void> => {
    const until = performance.now() + SETTLE_MS;
    while (received < count && performance.now() < until) await sleep(5);
  };
  const anew = (): void => {
    took = [];
    received = losses = silent = 0;
    lastReceived = performance.now();
  };

  // For plans and connections.
  await settled(received + (await paced(1_000)).sent);

  anew();
  const calm = await paced(SECONDS * 1_000);
  await settled(calm.sent);
  const at = (share: number): string => percentile(took, share).toFixed(1);
  const [p50, p99, rate] = [at(0.5), at(0.99), Math.round(calm.tried / SECONDS)];

  anew();
  const begun = performance.now();
  let sent = 0;
  let most = 0;
  const counting = setInterval(() => {
    void connections.count().then((count) => (most = Math.max(most, count - none)));
  }, 100);
  while (performance.now() < begun + SECONDS * 1_000) sent += await publish();
  await settled(sent);
  const fast = Math.round((received / (lastReceived - begun)) * 1_000);
  clearInterval(counting);

  anew();
  const cutting = sleep(1_000).then(() => connections.cut());
  const cut = await paced(Math.max(SECONDS, 5) * 1_000);
  await cutting;
  await settled(cut.tried);
  // A piece that was asked for again does not count as heard. So a lost piece is one that a follower must ask for, or miss.
  const lost = cut.tried - received;

  await Promise.all([reader.close(), writer.close()]);
  while ((await connections.count()) > none) await sleep(10);
  return {
    feed: candidate.name,
    on: candidate.on,
    'p50 ms': p50,
    'p99 ms': p99,
    'pieces/s (every 40 ms)': rate,
    'pieces/s (full speed)': fast,
    'connections of both ends': most,
    'cut: lost pieces': `${lost} of ${cut.tried}`,
    'silent for ms': Math.round(silent),
    'losses reported': losses > 0 ? 'yes' : 'no',
  };
}

const dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-bench-'));
const postgres = await startEmbeddedPostgres({ dataDir, persistent: false });
const databaseUrl = postgres.url('postgres');
await migrateQueue(databaseUrl);
const admin = new pg.Client(databaseUrl);
await admin.connect();
const inPostgres: Connections = {
  count: async () => {
    const { rows } = await admin.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    return rows[0]?.n ?? 0;
  },
  cut: () =>
    admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    ),
};
Logger.overrideLogger(false);

const rows: object[] = [];
const onPostgres = { databaseUrl, redisUrl: undefined };
for (const candidate of [ourPostgres(onPostgres), relay(onPostgres, false), relay(onPostgres, true)]) {
  rows.push(await measure(candidate, inPostgres));
}
await admin.end();
await postgres.stop();

if (has('redis-server')) {
  const server = await startRedis();
  const redis = new Redis(server.url);
  const inRedis: Connections = {
    count: async () =>
      String(await redis.client('LIST'))
        .trim()
        .split('\n').length - 1,
    cut: async () => {
      await redis.client('KILL', 'TYPE', 'pubsub');
      await redis.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    },
  };
  const onRedis = { databaseUrl, redisUrl: server.url };
  for (const candidate of [ourRedis(server.url), relay(onRedis, false), relay(onRedis, true)]) {
    rows.push(await measure(candidate, inRedis));
  }
  redis.disconnect();
  await server.stop();
} else {
  console.log('No redis-server on this machine: PostgreSQL alone.');
}
console.table(rows);
// Timers of BullMQ's connections would keep the process alive for half a minute.
process.exit(0);
