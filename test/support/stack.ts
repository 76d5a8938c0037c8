import { createSecretKey } from 'node:crypto';
import { createRequire } from 'node:module';
import pg from 'pg';
import { Client } from './client.js';
import { freshDatabase } from './database.js';
import { ModelStub } from './model-stub.js';
import { outside } from './outside.js';
import { type OwnPostgres, startOwnPostgres } from './own-postgres.js';
import { type App, startProcess } from './processes.js';
import { type RedisServer, startRedis } from './redis.js';
import { anyPort } from './steady-port.js';

type Jwt = typeof import('jsonwebtoken');

const { default: jwt } = await outside<{ default: Jwt }>(createRequire(import.meta.url).resolve('jsonwebtoken'));

export const SECRET = 'a secret for tests that is long enough';

/** A whole service: its own database, stand-in, API and workers. */
export interface Stack {
  readonly api: App;
  readonly workers: App[];
  readonly model: ModelStub;
  /** Set when the queue is on Redis (`TEST_QUEUE=redis`). */
  readonly redis: RedisServer | undefined;
  /** Set when the stack has a PostgreSQL of its own. */
  readonly postgres: OwnPostgres | undefined;
  readonly database: pg.Pool;
  readonly databaseName: string;
  readonly databaseUrl: string;
  /** A client of the API for this user. All its exchanges are checked against the contract. */
  as(user: string, through?: App): Client;
  startApi(env?: Record<string, string>): Promise<App>;
  startWorker(env?: Record<string, string>): Promise<App>;
  /** Starts an app again that has ended, with the same settings and address. */
  again(app: App): Promise<App>;
  stop(): Promise<void>;
}

export interface StackOptions {
  readonly workers?: number;
  readonly env?: Record<string, string>;
  /** Gives the stack a PostgreSQL of its own, which a test may kill. `durable`: with PostgreSQL's own defaults for durability. */
  readonly ownPostgres?: boolean | 'durable';
  /** A migrated database that the stack does not make. The caller ends it. */
  readonly databaseUrl?: string;
  /** The directory where API and workers were built, if not this project. */
  readonly home?: string;
  /** Called for each app with the addresses of its stores. It may return other addresses. */
  readonly through?: (
    app: 'api' | 'worker',
    stores: { readonly DATABASE_URL: string; readonly REDIS_URL?: string },
  ) => Promise<Record<string, string>>;
}

/** Starts a stack on a fresh copy of the migrated database, or on a PostgreSQL of its own. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const redis = process.env['TEST_QUEUE'] === 'redis' ? await startRedis() : undefined;
  const queue: Record<string, string> = redis === undefined ? {} : { REDIS_URL: redis.url };
  const postgres = options.ownPostgres
    ? await startOwnPostgres(queue, { durable: options.ownPostgres === 'durable' })
    : undefined;
  const given = postgres?.url ?? options.databaseUrl;
  const copy = given === undefined ? await freshDatabase() : undefined;
  const databaseUrl = given ?? copy?.url ?? '';
  const databaseName = new URL(databaseUrl).pathname.slice(1);
  const database = new pg.Pool({ connectionString: databaseUrl, max: 3 });
  database.on('error', () => undefined); // tests cut connections on purpose
  const model = await ModelStub.start();
  const env = {
    DATABASE_URL: databaseUrl,
    JWT_SECRET: SECRET,
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'stand-in',
    // The limits are on, but high: a test's user does more than a person would.
    USER_TURNS_PER_MINUTE: '6000',
    USER_UNFINISHED_TURNS: '1000',
    USER_OPEN_STREAMS: '1000',
    ...queue,
    ...options.env,
  };
  const apps = new Map<App, { name: 'api' | 'worker'; extra: Record<string, string> }>();
  let stopped = false;
  const start = async (name: 'api' | 'worker', extra: Record<string, string> = {}): Promise<App> => {
    const relayed = await options.through?.(name, { DATABASE_URL: databaseUrl, ...queue });
    const port = { [name === 'api' ? 'PORT' : 'WORKER_PORT']: String(await anyPort()) };
    const app = await startProcess(name, { ...port, ...env, ...relayed, ...extra }, options.home);
    apps.set(app, { name, extra });
    // The app was starting when the stack was stopped.
    if (stopped) await app.kill();
    return app;
  };
  const again = async (app: App): Promise<App> => {
    const { name, extra } = apps.get(app) ?? {};
    if (name === undefined) throw new Error('The stack knows no such app.');
    const { port } = new URL(app.url);
    const started = await start(name, { ...extra, [name === 'api' ? 'PORT' : 'WORKER_PORT']: port });
    apps.delete(app);
    return started;
  };
  const stop = async (): Promise<void> => {
    stopped = true;
    await Promise.all([...apps.keys()].map((app) => (app.thaw(), app.stop())));
    await Promise.all([model.stop(), redis?.stop()]);
    await database.end();
    await copy?.drop();
    await postgres?.stop();
  };
  const starting = [start('api'), ...Array.from({ length: options.workers ?? 1 }, () => start('worker'))];
  await Promise.allSettled(starting);
  const [api, ...workers] = await Promise.all(starting as [Promise<App>, ...Promise<App>[]]).catch(async (error) => {
    await stop();
    throw error;
  });
  return {
    api,
    workers,
    model,
    redis,
    postgres,
    database,
    databaseName,
    databaseUrl,
    as: (user, through = api) => new Client(through.url, tokenFor(user)),
    startApi: (extra) => start('api', extra),
    startWorker: (extra) => start('worker', extra),
    again,
    stop,
  };
}

const tokens = new Map<string, string>();

/** A token that the service accepts, unless `claims` (undefined: left out) or `secret` change that. */
export function tokenFor(user: string, claims?: object, secret = SECRET): string {
  if (claims !== undefined || secret !== SECRET) return signed(user, claims ?? {}, secret);
  const token = tokens.get(user) ?? signed(user, {}, secret);
  tokens.set(user, token);
  return token;
}

function signed(user: string, claims: object, secret: string): string {
  const all = { sub: user, exp: Math.floor(Date.now() / 1000) + 3600, ...claims };
  // As a key object: with a text, the library first tries to read it as a private key and fails, which takes a millisecond.
  const key = createSecretKey(Buffer.from(secret));
  return jwt.sign(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)), key);
}
