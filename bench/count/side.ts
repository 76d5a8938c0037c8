import type { Side } from '../sides.js';
import type { Started } from '../started.js';
import { countOperations, type Counts } from './operations.js';
import { Relays } from './relays.js';

/** Users who send turns at the same time. */
const AT_ONCE = 32;

const TIMES = { alone: 20, atOnce: 3 };

/** Ends a side's processes, and starts others that reach their stores through relays. Relays would have slowed the measured ones. */
export async function countSide(side: Side, started: Started): Promise<Counts[]> {
  await Promise.all([side.api.stop(), side.worker.stop()]);
  const relays = new Relays();
  started.push(() => relays.stop());
  const [api] = await Promise.all(
    (['api', 'worker'] as const).map(async (program) => {
      const starting = side.start(program, await relays.before(program, side.stores));
      started.push(async () => (await starting.catch(() => undefined))?.stop());
      return starting;
    }),
  );
  if (api === undefined) throw new Error('There is no API.');
  const [first, ...others] = side.seeds.talkers.slice(0, AT_ONCE);
  if (first === undefined) throw new Error('Nobody has talked.');
  return countOperations({
    counter: relays.counter,
    url: api.url,
    as: side.as,
    database: side.database,
    talkers: [first, ...others],
    times: TIMES,
  });
}
