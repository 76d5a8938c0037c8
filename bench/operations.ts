import { unfinished } from './count/operations.js';
import { pageOf, pollOf, turnOf, unchangedOf, upsertOf } from './exchanges.js';
import { type Exchange, load, type Round } from './load.js';
import type { Starter, Talker } from './seed.js';
import type { Side } from './sides.js';
import { until } from '../test/support/until.js';

/** An operation that is measured on both sides. */
export interface Operation {
  readonly name: string;
  /** The goal for the ratio to the ceiling. */
  readonly goal: number;
  /** One round of about `ms` milliseconds. */
  run(side: Side, ms: number): Promise<Round>;
}

const CONNECTIONS = 16;

/** Clients that wait for replies, each in its own chat. */
const TALKING = 32;

/** The number of turns that show how many a round must have. */
const FIRST_TURNS = 64;

/** Requests of all talkers, one after the other, without end. */
function inTurn<T>(of: readonly T[], make: (one: T) => Exchange): () => Exchange {
  const exchanges = of.map(make);
  let n = 0;
  return () => exchanges[n++ % exchanges.length] as Exchange;
}

/** An operation that changes nothing, asked for all talkers in turn. */
function reading(name: string, goal: number, make: (side: Side, talker: Talker) => Exchange): Operation {
  return {
    name,
    goal,
    run: (side, ms) =>
      load(
        side.api.url,
        CONNECTIONS,
        ms,
        inTurn(side.seeds.talkers, (talker) => make(side, talker)),
      ),
  };
}

const upsert = reading('upsert of an existing chat', 0.6, ({ as }, talker) => upsertOf(as, talker));
const poll = reading('poll of a job', 0.6, ({ as }, talker) => pollOf(as, talker));
const page = reading('page of 50 messages', 0.7, ({ as }, talker) => pageOf(as, talker));

const notModified: Operation = {
  name: 'the same, unchanged (304)',
  goal: 0.6,
  run: async ({ api, as, seeds }, ms) => {
    const known = await Promise.all(seeds.talkers.map((talker) => unchangedOf(api.url, as, talker)));
    return load(
      api.url,
      CONNECTIONS,
      ms,
      inTurn(known, (exchange) => exchange),
    );
  },
};

/** Accepting alone: the worker stands still, and the accepted turns are removed afterwards. */
const accept: Operation = {
  name: 'accept a turn (202)',
  goal: 0.8,
  run: async (side, ms) => {
    side.worker.freeze();
    try {
      const starters = [...side.seeds.starters];
      return await load(side.api.url, CONNECTIONS, ms, () => {
        const next = starters.pop();
        return next && turnOf(side.as, next, true);
      });
    } finally {
      await side.database.query(
        `UPDATE jobs SET status = 'canceled', finished_at = now(), lease_until = NULL WHERE status IN ('queued', 'running')`,
      );
      side.worker.thaw();
      await side.emptyQueue();
    }
  },
};

/** Each client has its own chat. The chats grow, so each round takes others. */
const waiting: Operation = {
  name: 'turns, waiting (200)',
  goal: 0.7,
  run: (side, ms) => {
    const talking = side.takeStarters(TALKING);
    return load(side.api.url, TALKING, ms, (n) => turnOf(side.as, talking[n] as Starter, false));
  },
};

/** Asynchronous turns that each side finished per second in its last round. */
const ended = new WeakMap<Side, number>();

/** Measured from the first accepted turn to the last reply. */
const asynchronous: Operation = {
  name: 'turns, asynchronous',
  goal: 0.7,
  run: async (side, ms) => {
    const begun = performance.now();
    const rate = ended.get(side);
    const talking = side.takeStarters(rate === undefined ? FIRST_TURNS : Math.ceil((ms / 1_000) * rate));
    const round = await load(side.api.url, CONNECTIONS, Infinity, () => {
      const next = talking.pop();
      return next && turnOf(side.as, next, true);
    });
    await until(async () => (await unfinished(side.database)) === 0, 'the end of all turns');
    const seconds = (performance.now() - begun) / 1_000;
    ended.set(side, round.times.length / seconds);
    return { ...round, seconds };
  },
};

export const OPERATIONS: readonly Operation[] = [upsert, poll, page, notModified, accept, waiting, asynchronous];
