import { describe, expect, it, beforeAll, afterAll } from '@jest/globals';
import type { Asker, Purpose } from '../../bench/count/counter.js';
import { countOperations, type Counts } from '../../bench/count/operations.js';
import { Relays } from '../../bench/count/relays.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

/*
 * What each operation may ask of the stores, at most, for one of it on the average. Round trips to PostgreSQL; commands, where the queue
 * and the text are on Redis. By the clock is nothing of it (`bench/count/background.ts`). `npm run bench` prints what it is.
 *
 * Of turns at once it is left to chance which of BullMQ's slots look once more in vain, so those have some room above what was seen.
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

/** Users who send turns at once. */
const AT_ONCE = 10;

/** Accepted, read at its end; claimed, finished. */
const TURN: Most = {
  'api sql': 2,
  'api queue': 1,
  'api feed': 0,
  'worker sql': 2,
  // Alone, a turn finds a worker that has waited, and leaves one that waits again.
  'worker queue': 6,
  'worker feed': 1,
};

/** Claimed with others, as a rule; one that is called to the line may find it empty. */
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

describe('what an operation asks of the stores', () => {
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

  it.each(Object.keys(MOST))('%s: no more round trips and commands than are written down for it', (name) => {
    const counts = counted.find((one) => one.name === name);
    const most = MOST[name];
    if (counts === undefined || most === undefined) throw new Error('It was not counted.');
    const { each, said } = counts;
    const over = (Object.entries(most) as [`${Asker} ${Purpose}`, number][]).filter(([of, limit]) => {
      const [asker, purpose] = of.split(' ') as [Asker, Purpose];
      return each[asker][purpose] > limit;
    });
    expect({ over: Object.fromEntries(over), ...(over.length > 0 && { each, said }) }).toEqual({ over: {} });
    // Whoever counts nothing finds everything in order.
    expect(each.api.sql).toBeGreaterThan(0);
  });

  it('all that is counted has a bound', () => {
    expect(counted.map(({ name }) => name)).toEqual(Object.keys(MOST));
  });
});
