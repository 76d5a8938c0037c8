import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { Client } from '../support/client.js';
import { Clients, newUser } from './sequences-clients.js';
import { explain } from './sequences-order.js';
import { atOnce, mark, oneByOne, type Program, SCRIPTS } from './sequences-steps.js';

const { FUZZ_RUNS, FUZZ_SEED } = process.env;

/** How many times as long as usual: `FUZZ_RUNS=50 npm test -- test/fuzz/sequences`. A fault tells its seed. */
const times = Number(FUZZ_RUNS ?? 1);

/** The same programs every time, and others where many are asked for; what they meet is never quite the same. */
const seed = Number(FUZZ_SEED ?? (FUZZ_RUNS === undefined ? 1 : Math.floor(Math.random() * 2 ** 31)));

/** For what hangs, in milliseconds. */
const LONGEST = 120_000 * Math.max(1, times);

/** Programs, each a user's, that run at the same time. */
const USERS = 4;

/** How often a program that failed is tried again while a smaller one is looked for: what depends on chance may hide. */
const TRIES = 8;

/*
 * Programs are lists of steps, not fast-check's commands: a history is judged as a whole and afterwards, since calls that were made at
 * once have no order until one is found. And they are really made at once: fast-check's scheduler would put the promises of this process
 * into an order, while what is to be put to the test is the order in which PostgreSQL, the API and the worker do things.
 */
describe('sequences of requests', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
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
      // What was found must be told before the test is given up.
      { seed, numRuns: runs * times, interruptAfterTimeLimit: LONGEST - 40_000 },
    );
  };

  it(
    'one after the other: every answer is the one the model gives',
    async () => {
      await hold(oneByOne(25), 3);
    },
    LONGEST,
  );

  it(
    'at once on one user’s chats: the answers are those of some order of the calls',
    async () => {
      await hold(atOnce, 8);
    },
    LONGEST,
  );

  it('leaves nothing behind that the database itself would not allow', async () => {
    const { rows } = await stack.database.query(
      `SELECT c.id FROM chats c WHERE last_seq <> (SELECT count(*) FROM messages m WHERE m.chat_id = c.id)`,
    );
    expect(rows).toEqual([]);
  });
});
