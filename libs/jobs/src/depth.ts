import type { EntityManager } from 'typeorm';
import { LIVES_SINCE, waits } from './states.js';

/** How much waits and runs. */
export interface QueueDepth {
  /** Jobs whose next attempt is due, those that are queued for later, and those that run; each counted up to {@link MOST_COUNTED}. */
  readonly due: number;
  readonly delayed: number;
  readonly running: number;
  /** How long ago the oldest turn that is queued was accepted, or put back, in seconds; 0: none is. */
  readonly oldestSeconds: number;
}

/** A queue that is longer than this is long enough to know; counting goes on for no more than some milliseconds. */
export const MOST_COUNTED = 100_000;

const counted = (where: string): string =>
  `(SELECT count(*) FROM (SELECT FROM jobs WHERE ${where} LIMIT ${MOST_COUNTED}) AS few)::int`;

/** Each part is read from an index that holds unfinished jobs only; by `created_at` the oldest might be looked for among all jobs. */
const DEPTH = `
  SELECT ${counted(`status = 'queued' AND available_at <= now()`)} AS due,
         ${counted(`status = 'queued' AND available_at > now()`)} AS delayed,
         ${counted(`status = 'running'`)} AS running,
         coalesce(extract(epoch FROM now() - (SELECT min(${LIVES_SINCE}) FROM jobs WHERE ${waits('age')}))::float8, 0)
           AS "oldestSeconds"`;

/** Reads how long the queue is, for operators. */
export async function queueDepth(manager: EntityManager): Promise<QueueDepth> {
  const [depth] = await manager.query<[QueueDepth]>(DEPTH);
  return depth;
}
