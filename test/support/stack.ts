import jwt from 'jsonwebtoken';
import pg from 'pg';
import { Client } from './client.js';
import { freshDatabase } from './database.js';
import { ModelStub } from './model-stub.js';
import { type App, startProcess } from './processes.js';
import { type RedisServer, startRedis } from './redis.js';

export const SECRET = 'a secret for tests that is long enough';

/** A whole service: its own database, stand-in model, API and workers. */
export interface Stack {
  readonly api: App;
  readonly workers: App[];
  readonly model: ModelStub;
  /** Set when the queue is on Redis (`TEST_QUEUE=redis`). */
  readonly redis: RedisServer | undefined;
  readonly database: pg.Pool;
  readonly databaseName: string;
  readonly databaseUrl: string;
  /** A client of the API for this user; all its exchanges are held against the contract. */
  as(user: string, through?: App): Client;
  startApi(env?: Record<string, string>): Promise<App>;
  startWorker(env?: Record<string, string>): Promise<App>;
  stop(): Promise<void>;
}

export interface StackOptions {
  readonly workers?: number;
  readonly env?: Record<string, string>;
}

/** Starts a stack on a fresh copy of the migrated database. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const copy = await freshDatabase();
  const { name: databaseName, url: databaseUrl } = copy;
  const database = new pg.Pool({ connectionString: databaseUrl, max: 3 });
  database.on('error', () => undefined); // tests cut connections on purpose
  const [model, redis] = await Promise.all([
    ModelStub.start(),
    process.env['TEST_QUEUE'] === 'redis' ? startRedis() : undefined,
  ]);
  const env = {
    DATABASE_URL: databaseUrl,
    JWT_SECRET: SECRET,
    PORT: '0',
    WORKER_PORT: '0',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'stand-in',
    ...(redis && { REDIS_URL: redis.url }),
    ...options.env,
  };
  const apps: App[] = [];
  const start = async (name: 'api' | 'worker', extra: Record<string, string> = {}): Promise<App> => {
    const app = await startProcess(name, { ...env, ...extra });
    apps.push(app);
    return app;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(apps.map((app) => app.stop()));
    await Promise.all([model.stop(), redis?.stop()]);
    await database.end();
    await copy.drop();
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
    database,
    databaseName,
    databaseUrl,
    as: (user, through = api) => new Client(through.url, tokenFor(user)),
    startApi: (extra) => start('api', extra),
    startWorker: (extra) => start('worker', extra),
    stop,
  };
}

/** A token as the service wants them, unless `claims` (undefined: left out) or `secret` say otherwise. */
export function tokenFor(user: string, claims: object = {}, secret = SECRET): string {
  const all = { sub: user, exp: Math.floor(Date.now() / 1000) + 3600, ...claims };
  return jwt.sign(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)), secret);
}
