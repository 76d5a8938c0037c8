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

/**
 * A stack with the usual settings, without data, for a file that leaves its API, worker and stand-in running and counts no calls but its
 * own. Files of one process use the same stack one after the other, since a start takes more than a second of CPU.
 */
export async function borrowStack(): Promise<Stack> {
  const lent = await take();
  const database = new pg.Pool({ connectionString: lent.databaseUrl, max: 3 });
  database.on('error', () => undefined);
  const started: App[] = [];
  const note = async (starting: Promise<App>): Promise<App> => {
    const app = await starting;
    started.push(app);
    return app;
  };
  return {
    ...lent,
    database,
    // Made here, what they return has the types of this file, and exchanges are checked and noted here.
    model: new ModelStub(lent.model.app),
    as: (user, through = lent.api) => new Client(through.url, tokenFor(user)),
    startApi: (env) => note(lent.startApi(env)),
    startWorker: (env) => note(lent.startWorker(env)),
    again: (app) => note(lent.again(app)),
    stop: async () => {
      await Promise.all([database.end(), ...started.map((app) => app.stop())]);
      await giveBack(lent);
    },
  };
}
