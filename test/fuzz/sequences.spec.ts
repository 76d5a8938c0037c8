import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';
import { Client } from '../support/client.js';
import { Clients, newUser } from './sequences-clients.js';
import { explain } from './sequences-order.js';
import { atOnce, mark, oneByOne, type Program, SCRIPTS } from './sequences-steps.js';

const { FUZZ_RUNS, FUZZ_SEED } = process.env;

/** Multiplies the length of a run: `FUZZ_RUNS=50 npm test -- test/fuzz/sequences`. A fault prints its seed. */
const times = Number(FUZZ_RUNS ?? 1);

/** The same programs each time, and random ones for long runs. Even so, no two runs meet the same moments. */
const seed = Number(FUZZ_SEED ?? (FUZZ_RUNS === undefined ? 1 : Math.floor(Math.random() * 2 ** 31)));

/** In milliseconds, for a run that hangs. */
const LONGEST = 120_000 * Math.max(1, times);

/** Programs that run at the same time, each with its own user. */
const USERS = 4;

/** How often a failed program is tried again while it is shrunk, because a fault that depends on chance may not show each time. */
const TRIES = 8;

/*
 * Programs are lists of steps, not fast-check's commands. A history is judged as a whole and afterwards, because calls at the same time
 * have no order until one is found. They also are sent at the same time: fast-check's scheduler would order the promises of this process,
 * but the test is about the order in which PostgreSQL, the API and the worker do things.
 */
describe('sequences of requests', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await borrowStack();
    for (const [kind, script] of SCRIPTS) await stack.model.script(mark(kind), script);
  });
  afterAll(() => stack.stop());

  const run = async (program: Program): Promise<void> => {
    const operator = new Client(stack.api.url, tokenFor('operator', { scope: 'admin' }));
    const clients = new Clients(stack.as(newUser()), { stranger: stack.as(newUser()), operator });
    await clients.run(program);
    await clients.end();
    explain(clients.calls);
  };

  const hold = async (programs: fc.Arbitrary<Program>, runs: number): Promise<void> => {
    let failed = false;
    await fc.assert(
      fc.asyncProperty(fc.array(programs, { minLength: 1, maxLength: USERS, size: 'max' }), async (all) => {
        for (let tries = failed ? TRIES : 1; tries > 0; tries--) {
          const ended = await Promise.allSettled(all.map(run));
          const fault = ended.find((one) => one.status === 'rejected');
          if (fault === undefined) continue;
          failed = true;
          throw fault.reason;
        }
      }),
      // A found fault must be printed before the test runs out of time.
      { seed, numRuns: runs * times, interruptAfterTimeLimit: LONGEST - 40_000 },
    );
  };

  it(
    'one after the other: every answer is the model’s',
    async () => {
      await hold(oneByOne(25), 3);
    },
    LONGEST,
  );

  it(
    'at once on one user’s chats: some order of the calls explains all answers',
    async () => {
      await hold(atOnce, 8);
    },
    LONGEST,
  );

  it('leaves only sound data', async () => {
    const { rows } = await stack.database.query(
      `SELECT c.id FROM chats c WHERE last_seq <> (SELECT count(*) FROM messages m WHERE m.chat_id = c.id)`,
    );
    expect(rows).toEqual([]);
  });
});
