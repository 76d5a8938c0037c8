import type { EntityManager } from 'typeorm';

const COUNT = `
  SELECT count(*)::int AS unfinished FROM (SELECT FROM jobs WHERE status IN ('queued', 'running') LIMIT $1) j`;

/** How many turns are under way, of all users together; counted up to `most`. */
export async function countUnfinished(manager: EntityManager, most: number): Promise<number> {
  const [row] = await manager.query<{ unfinished: number }[]>(COUNT, [most]);
  return row?.unfinished ?? 0;
}
