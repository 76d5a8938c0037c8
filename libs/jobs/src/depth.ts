import type { EntityManager } from 'typeorm';
import { LIVES_SINCE, waits } from './states.js';

/** How many jobs wait and run. */
export interface QueueDepth {
  /** Jobs whose next attempt is due, jobs that are queued for later, jobs that run, and jobs that wait for a person, each counted up to {@link MOST_COUNTED}. */
  readonly due: number;
  readonly delayed: number;
  readonly running: number;
  readonly waitingForPerson: number;
  /** Time since the oldest queued turn was accepted or put back, in seconds; 0: none is queued. */
  readonly oldestSeconds: number;
}

/** The count stops here, so that it takes only some milliseconds. Nothing needs the exact length of a longer queue. */
export const MOST_COUNTED = 100_000;

const counted = (where: string): string =>
  `(SELECT count(*) FROM (SELECT FROM jobs WHERE ${where} LIMIT ${MOST_COUNTED}) AS few)::int`;

/** Each part reads an index of unfinished jobs only. With an order by `created_at`, PostgreSQL would search the oldest among all jobs. */
const DEPTH = `
  SELECT ${counted(`status = 'queued' AND available_at <= now()`)} AS due,
         ${counted(`status = 'queued' AND available_at > now()`)} AS delayed,
         ${counted(`status = 'running'`)} AS running,
         ${counted(`status = 'requires_action'`)} AS "waitingForPerson",
         coalesce(extract(epoch FROM now() - (SELECT min(${LIVES_SINCE}) FROM jobs WHERE ${waits('age')}))::float8, 0)
           AS "oldestSeconds"`;

/** Reads how many jobs wait and run, for operators. */
export async function queueDepth(manager: EntityManager): Promise<QueueDepth> {
  const [depth] = await manager.query<[QueueDepth]>(DEPTH);
  return depth;
}
