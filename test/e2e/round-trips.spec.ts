import { describe, expect, it, beforeAll, afterAll } from '@jest/globals';
import type { Asker, Purpose } from '../../bench/count/counter.js';
import { countOperations, type Counts } from '../../bench/count/operations.js';
import { Relays } from '../../bench/count/relays.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

/*
 * The most that each operation may ask of the stores, on average: round trips to PostgreSQL, and commands where queue and text are on
 * Redis. Statements by the clock do not count (`bench/count/background.ts`). `npm run bench` prints the present counts.
 *
 * For turns at the same time, chance decides which of BullMQ's slots look for a ticket in vain. So these bounds have some room above the
 * counts.
 */

type Most = Readonly<Record<`${Asker} ${Purpose}`, number>>;

const ONE_STATEMENT: Most = {
  'api sql': 1,
  'api queue': 0,
  'api feed': 0,
  'worker sql': 0,
  'worker queue': 0,
  'worker feed': 0,
};

/** Users who send turns at the same time. */
const AT_ONCE = 10;

/** Accepted, read at its end; claimed, finished. */
const TURN: Most = {
  'api sql': 2,
  'api queue': 1,
  'api feed': 0,
  'worker sql': 2,
  // A single turn finds a worker that waits, and leaves one that waits again.
  'worker queue': 6,
  'worker feed': 1,
};

/** Usually claimed together with others. A worker that is woken may find no job left. */
const AMONG_OTHERS: Most = { ...TURN, 'worker sql': 2.5, 'worker queue': 2 };

const MOST: Readonly<Record<string, Most>> = {
  'upsert of an existing chat': ONE_STATEMENT,
  'poll of a job': ONE_STATEMENT,
  'page of 50 messages': ONE_STATEMENT,
  'the same, unchanged (304)': ONE_STATEMENT,
  'turn, waiting (200), alone': TURN,
  'turn, waiting (200), many at once': AMONG_OTHERS,
  'turn, asynchronous, many at once': { ...AMONG_OTHERS, 'api sql': 1 },
};

describe('the cost of an operation at the stores', () => {
  const relays = new Relays();
  let stack: Stack;
  let counted: Counts[];

  beforeAll(async () => {
    stack = await startStack({ through: (app, stores) => relays.before(app, stores) });
    const as = (user: string) => ({ authorization: `Bearer ${tokenFor(user)}` });
    const talking = async (user: string) => ({ user, chat: (await stack.as(user).chat()).id });
    const first = await talking('first');
    const { body } = await stack.as(first.user).turn(first.chat, 'hello');
    const others = await Promise.all(Array.from({ length: AT_ONCE - 1 }, (_, n) => talking(`user-${n}`)));
    counted = await countOperations({
      counter: relays.counter,
      url: stack.api.url,
      as,
      database: stack.database,
      talkers: [{ ...first, job: body.job_id as string }, ...others],
      times: { alone: 5, atOnce: 2 },
    });
  });

  afterAll(async () => {
    await stack?.stop();
    await relays.stop();
  });

  it.each(Object.keys(MOST))('%s: stays within its bounds of round trips and commands', (name) => {
    const counts = counted.find((one) => one.name === name);
    const most = MOST[name];
    if (counts === undefined || most === undefined) throw new Error('It was not counted.');
    const { each, texts } = counts;
    const over = (Object.entries(most) as [`${Asker} ${Purpose}`, number][]).filter(([of, limit]) => {
      const [asker, purpose] = of.split(' ') as [Asker, Purpose];
      return each[asker][purpose] > limit;
    });
    expect({ over: Object.fromEntries(over), ...(over.length > 0 && { each, texts }) }).toEqual({ over: {} });
    // A counter that counts nothing would find everything within bounds.
    expect(each.api.sql).toBeGreaterThan(0);
  });

  it('every count has a bound', () => {
    expect(counted.map(({ name }) => name)).toEqual(Object.keys(MOST));
  });
});
