import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Pace } from '../support/pace.js';
import { runProgram } from '../support/processes.js';
import { SECRET, type Stack, startStack } from '../support/stack.js';
import { until } from '../support/until.js';

/** Longer than any process takes to stop, because the test checks that each ends by itself. */
const LONG_MS = 60_000;

describe('a PostgreSQL that has fallen silent', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ ownPostgres: true, workers: 2, env: { WORKER_DRAIN_SECONDS: '0' } });
  });
  afterAll(() => stack.stop());

  it('keeps no process from stopping in order, idle or in mid-reply; and a start reports it', async () => {
    const ana = stack.as('ana');
    await stack.model.script('goes on', { pieces: ['one ', 'two'], stall_after: 1 }, 1);
    const job = await ana.turnAsync((await ana.chat()).id, 'goes on');
    await until(async () => (await stack.model.calls('goes on')).length > 0, 'the call');
    await stack.postgres?.freeze();
    try {
      const starting = runProgram('worker', {
        DATABASE_URL: stack.databaseUrl,
        JWT_SECRET: SECRET,
        WORKER_PORT: '0',
        ANTHROPIC_API_KEY: 'none',
      });
      // Long enough for the regular statements of every worker, which get no answer either.
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      const pace = await Pace.watch();
      const begun = Date.now();
      const ended = await Promise.all(
        [stack.api, ...stack.workers].map(async (app) => ({ code: await app.stop(LONG_MS), ms: Date.now() - begun })),
      );
      expect(ended.map(({ code }) => code)).toEqual([0, 0, 0]);
      const [first = 0, idle = 0, last = 0] = ended.map(({ ms }) => ms).sort((one, other) => one - other);
      const late = pace.bound(0);
      expect([first < 5_000 + late, idle < 8_000 + late, last < 14_000 + late]).toEqual([true, true, true]);
      const { host } = new URL(stack.databaseUrl);
      const printed = `The database of DATABASE_URL cannot be reached: ${host} does not answer.\n`;
      expect(await starting).toEqual({ code: 1, printed });
    } finally {
      stack.postgres?.thaw();
    }
    const [api] = await Promise.all([stack.startApi(), stack.startWorker()]);
    expect((await stack.as('ana', api).finalJob(job.id)).status).toBe('succeeded');
  });
});
