import { Queue, setDefaultBackendFactory } from 'bullmq';
import pg from 'pg';
import { QUEUE_PREFIX, queueConnection, type QueueStore, REPLY_QUEUE } from '#queue/connection.js';
import { postgresBackend } from '#queue/postgres-backend.js';
import { ModelStub } from '../test/support/model-stub.js';
import { startOwnPostgres } from '../test/support/own-postgres.js';
import { type App, startProcess, startProgram } from '../test/support/processes.js';
import { startRedis } from '../test/support/redis.js';
import { SECRET, tokenFor } from '../test/support/stack.js';
import type { Asker } from './count/counter.js';
import type { Stores } from './count/relays.js';
import type { Part } from './meter.js';
import { seed, type Seeds, type Starter } from './seed.js';
import type { Started } from './started.js';
import { QUEUE } from './ceiling/queue.js';
import type { As } from './exchanges.js';

export type Store = 'postgres' | 'redis';

/** One side of the comparison: an API with its worker, on its own database. */
export interface Side {
  readonly name: 'rejoinder' | 'ceiling';
  readonly api: App;
  readonly worker: App;
  /** Starts one of its programs again, with the settings in `env`. */
  start(program: Asker, env: Record<string, string>): Promise<App>;
  /** The addresses of its stores. */
  readonly stores: Stores;
  readonly database: pg.Pool;
  readonly seeds: Seeds;
  /** Its processes, and those that both sides share. */
  readonly parts: readonly Part[];
  /** The headers that identify a user. */
  readonly as: As;
  /** Takes the next `count` starters. After the last one it begins again with the first. */
  takeStarters(count: number): Starter[];
  /** Removes all waiting tickets from the queue. */
  emptyQueue(): Promise<void>;
}

export interface Sides {
  readonly rejoinder: Side;
  readonly ceiling: Side;
  readonly model: ModelStub;
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
}

/** Limits are on, but high: users of a bench do more than people. */
const GENEROUS = {
  USER_TURNS_PER_MINUTE: '60000',
  USER_UNFINISHED_TURNS: '1000',
  UNFINISHED_TURNS: '100000',
};

/**
 * Starts both sides: one PostgreSQL with default settings and a database for each side, one Redis if the queue is there, and one stand-in
 * model that answers at once. The product's processes write their CPU profiles into the directory `profiles`, if there is one.
 */
export async function startSides(store: Store, starters: number, started: Started, profiles?: string): Promise<Sides> {
  const redis = store === 'redis' ? await startRedis() : undefined;
  if (redis !== undefined) started.push(() => redis.stop());
  const queueAt: Record<string, string> = redis === undefined ? {} : { REDIS_URL: redis.url };
  const postgres = await startOwnPostgres(queueAt, { durable: true });
  started.push(() => postgres.stop());
  const ceilingUrl = await copyOf(postgres.url);
  const model = await ModelStub.start();
  started.push(() => model.stop());

  const common = { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'stand-in', NODE_ENV: 'production', ...queueAt };
  const ours = {
    ...common,
    ...GENEROUS,
    DATABASE_URL: postgres.url,
    JWT_SECRET: SECRET,
    PORT: '0',
    WORKER_PORT: '0',
  };
  const settings = { ...ours, METRICS_PORT: 'off', HOST: '127.0.0.1' };
  const flags = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
  const theirs = { ...common, DATABASE_URL: ceilingUrl };
  const shared: Part[] = [{ name: 'postgres', pid: postgres.pid, withChildren: true }];
  if (redis?.process.pid !== undefined) shared.push({ name: 'redis', pid: redis.process.pid });

  const side = async (name: Side['name'], url: string, start: Side['start'], as: Side['as']): Promise<Side> => {
    const starting = [start('api', {}), start('worker', {})] as const;
    const database = new pg.Pool({ connectionString: url, max: 2 });
    started.push(() => database.end());
    for (const app of starting) started.push(() => end(app));
    const [api, worker] = await Promise.all(starting);
    const parts = [
      { name: 'api', pid: api.process.pid ?? 0 },
      { name: 'worker', pid: worker.process.pid ?? 0 },
      ...shared,
    ];
    const seeds = await seed(database, starters);
    const queue = queueOf(name, { databaseUrl: url, redisUrl: redis?.url });
    started.push(() => queue.close());
    let taken = 0;
    const takeStarters = (count: number): Starter[] =>
      Array.from({ length: count }, () => seeds.starters[taken++ % starters] as Starter);
    return {
      name,
      api,
      worker,
      start,
      stores: { DATABASE_URL: url, ...queueAt },
      database,
      seeds,
      parts,
      as,
      takeStarters,
      emptyQueue: () => queue.drain(),
    };
  };

  const tokens = new Map<string, string>();
  const rejoinder = await side(
    'rejoinder',
    postgres.url,
    (program, env) => startProcess(program, { ...settings, ...env }, '.', flags),
    (user) => {
      let token = tokens.get(user);
      if (token === undefined) tokens.set(user, (token = `Bearer ${tokenFor(user)}`));
      return { authorization: token };
    },
  );
  // The product makes its assistants from its file.
  await copyAssistants(rejoinder.database, ceilingUrl);
  const ceiling = await side(
    'ceiling',
    ceilingUrl,
    (program, env) => startProgram(`dist/bench/ceiling/${program}.js`, { ...theirs, ...env }),
    (user) => ({ 'x-user': user }),
  );
  return { rejoinder, ceiling, model, databaseUrl: postgres.url, redisUrl: redis?.url };
}

/**
 * Waits for a process that is starting. One that was not ready in time has ended. A frozen process gets no signal, so it is thawed first.
 */
async function end(starting: Promise<App>): Promise<void> {
  const app = await starting.catch(() => undefined);
  app?.thaw();
  await app?.stop();
}

function queueOf(side: Side['name'], store: QueueStore): Queue {
  const connection = queueConnection(store, 'producer');
  // Set each time, because this process uses queues on both stores one after the other. Without it BullMQ takes Redis.
  setDefaultBackendFactory(store.redisUrl === undefined ? postgresBackend : undefined);
  return side === 'rejoinder'
    ? new Queue(REPLY_QUEUE, { connection, prefix: QUEUE_PREFIX })
    : new Queue(QUEUE, { connection });
}

/** A copy of this migrated database, on the same server. @returns its address */
async function copyOf(url: string): Promise<string> {
  const [from, admin, copy] = [new URL(url), new URL(url), new URL(url)];
  admin.pathname = '/postgres';
  copy.pathname = '/ceiling';
  const client = new pg.Client(admin.href);
  await client.connect();
  await client.query(`CREATE DATABASE ceiling TEMPLATE ${from.pathname.slice(1)}`);
  await client.end();
  return copy.href;
}

async function copyAssistants(from: pg.Pool, url: string): Promise<void> {
  const { rows } = await from.query('SELECT to_jsonb(a) AS assistant FROM assistants a');
  const to = new pg.Client(url);
  await to.connect();
  for (const { assistant } of rows) {
    await to.query('INSERT INTO assistants SELECT * FROM jsonb_populate_record(NULL::assistants, $1)', [assistant]);
  }
  await to.end();
}
