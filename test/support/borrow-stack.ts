import { join } from 'node:path';
import pg from 'pg';
import { Client } from './client.js';
import { ModelStub } from './model-stub.js';
import { outside } from './outside.js';
import type { App } from './processes.js';
import { type Stack, tokenFor } from './stack.js';

const { take, giveBack } = await outside<typeof import('./lent-stacks.js')>(
  join(import.meta.dirname, 'lent-stacks.js'),
);

export interface BorrowOptions {
  /**
   * How many workers of its own the file has, which it may stop, kill and freeze, or make no circuit wiser for others. Left out: it uses a
   * lent one, and leaves it running.
   */
  readonly ownWorkers?: number;
  /** Settings of its own workers, also of those that it starts later. */
  readonly workerEnv?: Record<string, string>;
}

/**
 * A stack with the usual settings, without data, for a file that leaves its API and stand-in running and counts no calls but its own. Files
 * of one process use the same stack one after the other, since a start takes more than a second of CPU.
 */
export async function borrowStack({ ownWorkers, workerEnv }: BorrowOptions = {}): Promise<Stack> {
  const lent = await take(ownWorkers === undefined ? 'worker' : 'none');
  const database = new pg.Pool({ connectionString: lent.databaseUrl, max: 3 });
  database.on('error', () => undefined);
  const started: App[] = [];
  const note = async (starting: Promise<App>): Promise<App> => {
    const app = await starting;
    started.push(app);
    return app;
  };
  const startWorker = (env?: Record<string, string>): Promise<App> => note(lent.startWorker({ ...workerEnv, ...env }));
  const stop = async (): Promise<void> => {
    await Promise.all([database.end(), ...started.map((app) => (app.thaw(), app.stop()))]);
    await giveBack(lent);
  };
  const own = await Promise.allSettled(Array.from({ length: ownWorkers ?? 0 }, () => startWorker()));
  for (const one of own) {
    if (one.status === 'rejected') throw await stop().then(() => one.reason as Error);
  }
  return {
    ...lent,
    api: fromNow(lent.api),
    workers: ownWorkers === undefined ? lent.workers.map(fromNow) : [...started],
    database,
    // Made here, what they return has the types of this file, and exchanges are checked and noted here.
    model: new ModelStub(lent.model.app),
    as: (user, through = lent.api) => new Client(through.url, tokenFor(user)),
    startApi: (env) => note(lent.startApi(env)),
    startWorker,
    again: (app) => note(lent.again(app)),
    stop,
  };
}

/** The app without what it printed for others. */
function fromNow(app: App): App {
  const before = app.output().length;
  return { ...app, output: () => app.output().slice(before) };
}
