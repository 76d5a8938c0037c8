import type pg from 'pg';
import { until } from '../../test/support/until.js';
import { type As, pageOf, pollOf, turnOf, unchangedOf, upsertOf } from '../exchanges.js';
import { type Exchange, load } from '../load.js';
import type { Starter, Talker } from '../seed.js';
import type { Asker, Counter, Noted, Purpose } from './counter.js';

/** A service whose processes use this counter's relays. */
export interface Counted {
  readonly counter: Counter;
  /** The API's address. */
  readonly url: string;
  readonly as: As;
  readonly database: pg.Pool;
  /** Users who send turns at the same time, each with a chat. The first one also has a job that has ended. */
  readonly talkers: readonly [Talker, ...Starter[]];
  /** How often each operation is done, and how many turns each user sends among many at once. */
  readonly times: { readonly alone: number; readonly atOnce: number };
}

/** Averages for one operation. */
export type PerOperation = Readonly<Record<Asker, Readonly<Record<Purpose, number>>>>;

/** The cost of an operation. */
export interface Counts {
  readonly name: string;
  /** How many were done. */
  readonly operations: number;
  /** Round trips to PostgreSQL, or commands to a store of the purpose's own. */
  readonly each: PerOperation;
  /** The same, with commands that went to Redis together as one. */
  readonly batches: PerOperation;
  /** Each statement or command, and how often one operation sends it. */
  readonly texts: Readonly<Record<string, number>>;
}

/**
 * Reads are counted this many times, and the lowest count is theirs: what a process sends by itself every few seconds may fall into one
 * count, and on a slow machine into two.
 */
const LOOKS = 3;

/** Does each operation alone, several times, and counts. @throws Error when an answer is not the expected one */
export async function countOperations(service: Counted): Promise<Counts[]> {
  const { as, url, talkers, times } = service;
  const [first] = talkers;
  const again = (exchange: Exchange): Exchange[] => Array.from({ length: times.alone }, () => exchange);
  const all = (asynchronous: boolean): Exchange[] =>
    Array.from({ length: times.atOnce }, () => talkers.map((one) => turnOf(as, one, asynchronous))).flat();
  const works: [name: string, connections: number, exchanges: readonly Exchange[]][] = [
    ['upsert of an existing chat', 1, again(upsertOf(as, first))],
    ['poll of a job', 1, again(pollOf(as, first))],
    ['page of 50 messages', 1, again(pageOf(as, first))],
    ['the same, unchanged (304)', 1, again(await unchangedOf(url, as, first))],
    ['turn, waiting (200), alone', 1, again(turnOf(as, first, false))],
    ['turn, waiting (200), many at once', talkers.length, all(false)],
    ['turn, asynchronous, many at once', talkers.length, all(true)],
  ];
  const counts: Counts[] = [];
  await service.counter.quiet();
  for (const [name, connections, exchanges] of works) {
    // First uses of a connection are not counted, so all connections are used once before.
    await send(service, connections, exchanges.slice(0, connections));
    const taken: Counts[] = [];
    while (taken.length < (isTurn(exchanges) ? 1 : LOOKS)) {
      service.counter.take();
      await send(service, connections, exchanges);
      taken.push(summed(name, exchanges.length, service.counter.take()));
    }
    counts.push(taken.reduce((least, one) => (total(one.each) < total(least.each) ? one : least)));
  }
  return counts;
}

const isTurn = (exchanges: readonly Exchange[]): boolean => exchanges[0]?.path.endsWith('/turns') === true;

const total = (each: Counts['each']): number =>
  Object.values(each).reduce((sum, { sql, queue, feed }) => sum + sql + queue + feed, 0);

/** Each client takes the exchanges of one user, one after the other. Resolves once nothing is under way. */
async function send({ url, database, counter }: Counted, connections: number, all: readonly Exchange[]): Promise<void> {
  const sent = Array.from({ length: connections }, () => 0);
  const asynchronous = all[0]?.expect === 202;
  for (let from = 0; from < all.length; from += asynchronous ? connections : all.length) {
    const { errors, fault } = await load(url, connections, Infinity, (connection) => {
      const n = connection + connections * (sent[connection] ?? 0);
      if (asynchronous && n >= from + connections) return undefined; // a chat has one turn at a time
      sent[connection] = (sent[connection] ?? 0) + 1;
      return all[n];
    });
    if (errors > 0) throw new Error(fault);
    if (asynchronous) await until(async () => (await unfinished(database)) === 0, 'the end of all turns');
  }
  // Reads have ended with their answers.
  if (isTurn(all)) await counter.quiet();
}

/** The number of jobs that have not ended. */
export async function unfinished(database: pg.Pool): Promise<number> {
  const { rows } = await database.query(`SELECT count(*)::int AS n FROM jobs WHERE status IN ('queued', 'running')`);
  return rows[0].n as number;
}

function summed(name: string, operations: number, noted: readonly Noted[]): Counts {
  const sums = (of: (note: Noted) => number): PerOperation => {
    const ofPurpose = (asker: Asker, purpose: Purpose): number =>
      noted.reduce((sum, note) => sum + (note.asker === asker && note.purpose === purpose ? of(note) : 0), 0);
    const ofAsker = (asker: Asker) => ({
      sql: ofPurpose(asker, 'sql') / operations,
      queue: ofPurpose(asker, 'queue') / operations,
      feed: ofPurpose(asker, 'feed') / operations,
    });
    return { api: ofAsker('api'), worker: ofAsker('worker') };
  };
  return {
    name,
    operations,
    each: sums(({ count }) => count),
    batches: sums(({ batches }) => batches),
    texts: Object.fromEntries(
      noted.map(({ asker, purpose, label, count }) => [`${asker}, ${purpose}: ${label}`, count / operations]),
    ),
  };
}
