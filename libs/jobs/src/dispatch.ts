import type { EntityManager } from 'typeorm';
import type { Dispatch } from '#database/entities/dispatch.entity.js';
import { oneRow } from '#database/rows.js';
import { DISPATCH_CHANNEL } from './states.js';

/*
 * The switch that pauses dispatch. While it is off no attempt begins. The service still accepts turns, running attempts go on to their end,
 * and a turn's hour runs on. Operators pause dispatch to protect jobs while they mend something. The switch is a row, so it holds for all
 * workers on both queue stores and survives restarts.
 */

/** SQL: attempts may begin. The statements that look for due jobs and that claim them have this condition. */
export const DISPATCH_IS_ON = 'NOT EXISTS (SELECT FROM dispatch WHERE paused)';

/** The state of the switch. */
export type DispatchState = Pick<Dispatch, 'paused' | 'changedAt' | 'changedBy'>;

const COLUMNS = 'paused, changed_at AS "changedAt", changed_by AS "changedBy"';

/** Reads the switch. */
export async function readDispatch(manager: EntityManager): Promise<DispatchState> {
  return oneRow(await manager.query<DispatchState[]>(`SELECT ${COLUMNS} FROM dispatch`));
}

/** Reads the switch and locks it until the transaction ends. */
export async function lockDispatch(manager: EntityManager): Promise<DispatchState> {
  return oneRow(await manager.query<DispatchState[]>(`SELECT ${COLUMNS} FROM dispatch FOR UPDATE`));
}

/** Wakes all workers when dispatch resumes. */
const SET = `
  WITH switched AS (
    UPDATE dispatch SET paused = $1, changed_at = now(), changed_by = $2 WHERE paused <> $1
    RETURNING paused, changed_at, changed_by
  ), notice AS (
    SELECT pg_notify('${DISPATCH_CHANNEL}', '') FROM switched WHERE NOT paused
  )
  SELECT ${COLUMNS} FROM switched LEFT JOIN notice ON true`;

/**
 * Sets the switch for the operator `userId`. Once it is off and committed, no new claim finds a job.
 * @returns the switch, and whether its state has changed
 */
export async function setDispatch(
  manager: EntityManager,
  paused: boolean,
  userId: string,
): Promise<DispatchState & { changed: boolean }> {
  const [state] = await manager.query<DispatchState[]>(SET, [paused, userId]);
  return state === undefined ? { ...(await readDispatch(manager)), changed: false } : { ...state, changed: true };
}
