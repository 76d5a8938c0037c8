import type { EntityManager } from 'typeorm';
import { isUnfinished } from '#database/columns.js';

const COUNT = `
  SELECT count(*)::int AS unfinished FROM (SELECT FROM jobs u WHERE ${isUnfinished('u')} LIMIT $1) j`;

/** How many turns of all users are unfinished, counted up to `most`. */
export async function countUnfinished(manager: EntityManager, most: number): Promise<number> {
  const [row] = await manager.query<{ unfinished: number }[]>(COUNT, [most]);
  return row?.unfinished ?? 0;
}
