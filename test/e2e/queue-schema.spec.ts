import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Stack, startStack } from '../support/stack.js';

const onRedis = process.env['TEST_QUEUE'] === 'redis';

describe('the tables of the queue on PostgreSQL', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ workers: 0 });
  });
  afterAll(() => stack.stop());

  /** Starts both apps while the newest migration of BullMQ has this row. @returns the results */
  const startWith = async (change: string): Promise<string[]> => {
    const newest = 'version = (SELECT max(version) FROM bullmq.migration)';
    await stack.database.query('CREATE TABLE kept AS TABLE bullmq.migration');
    try {
      await stack.database.query(change.replace('NEWEST', newest));
      return await Promise.all(
        [() => stack.startApi(), () => stack.startWorker()].map(async (start) => {
          const app = await start().catch((error: Error) => error.message);
          if (typeof app === 'string') return app;
          expect(await app.stop()).toBe(0);
          return app.output();
        }),
      );
    } finally {
      await stack.database.query('TRUNCATE bullmq.migration; INSERT INTO bullmq.migration TABLE kept; DROP TABLE kept');
    }
  };

  const onPostgres = onRedis ? it.skip : it;
  onPostgres('stop a start when they lack a migration, and say what to do', async () => {
    for (const printed of await startWith('DELETE FROM bullmq.migration WHERE NEWEST')) {
      expect(printed).toMatch(
        /ended with 1:\n.*are of version \d+, and this process needs \d+\. Run `npm run migrate` first\.\n/s,
      );
    }
  });

  onPostgres('are used when they are newer but compatible, and the log says so', async () => {
    for (const printed of await startWith('UPDATE bullmq.migration SET version = 99 WHERE NEWEST')) {
      expect(printed).toMatch(/listening on .*/s);
      expect(printed).toMatch(/are of version 99, and this process knows \d+/);
    }
  });

  onPostgres('stop a start when they are of a newer major version', async () => {
    for (const printed of await startWith('UPDATE bullmq.migration SET min_client_version = 99 WHERE NEWEST')) {
      expect(printed).toMatch(/ended with 1:\n.*need BullMQ 99, and this process has BullMQ \d+/s);
    }
  });

  (onRedis ? it : it.skip)('do not matter when the queue is on Redis', async () => {
    await stack.database.query('DROP SCHEMA IF EXISTS bullmq CASCADE');
    const app = await stack.startWorker();
    expect(app.output()).not.toMatch(/bullmq/);
    expect(await app.stop()).toBe(0);
  });
});
