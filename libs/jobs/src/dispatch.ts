import type { EntityManager } from 'typeorm';
import type { Dispatch } from '#database/entities/dispatch.entity.js';
import { oneRow } from '#database/rows.js';
import { DISPATCH_CHANNEL } from './states.js';

/*
 * Whether attempts are begun. Operators pause it, to keep what runs while something around it is mended; turns are accepted all
 * the same, attempts under way end, and a turn's hour goes on. It is a row, so it holds for every worker, whatever the queue
 * runs on, and outlives all of them.
 */

/** SQL: attempts may be begun. What looks for work, and what claims it, looks here. */
export const DISPATCH_IS_ON = 'NOT EXISTS (SELECT FROM dispatch WHERE paused)';

/** The switch as it stands. */
export type DispatchState = Pick<Dispatch, 'paused' | 'changedAt' | 'changedBy'>;

const COLUMNS = 'paused, changed_at AS "changedAt", changed_by AS "changedBy"';

/** Reads the switch. */
export async function readDispatch(manager: EntityManager): Promise<DispatchState> {
  return oneRow(await manager.query<DispatchState[]>(`SELECT ${COLUMNS} FROM dispatch`));
}

/** Reads the switch, which nobody else turns until the transaction ends. */
export async function lockDispatch(manager: EntityManager): Promise<DispatchState> {
  return oneRow(await manager.query<DispatchState[]>(`SELECT ${COLUMNS} FROM dispatch FOR UPDATE`));
}

/** Workers are told to look at once when it goes on. */
const SET = `
  WITH switched AS (
    UPDATE dispatch SET paused = $1, changed_at = now(), changed_by = $2 WHERE paused <> $1
    RETURNING paused, changed_at, changed_by
  ), notice AS (
    SELECT pg_notify('${DISPATCH_CHANNEL}', '') FROM switched WHERE NOT paused
  )
  SELECT ${COLUMNS} FROM switched LEFT JOIN notice ON true`;

/**
 * Turns the switch for the operator `userId`. Once this is committed no claim that begins finds anything while it is off.
 * @returns the switch, and whether it was turned: to what it is already is no change
 */
export async function setDispatch(
  manager: EntityManager,
  paused: boolean,
  userId: string,
): Promise<DispatchState & { changed: boolean }> {
  const [state] = await manager.query<DispatchState[]>(SET, [paused, userId]);
  return state === undefined ? { ...(await readDispatch(manager)), changed: false } : { ...state, changed: true };
}
