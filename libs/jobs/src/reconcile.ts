import type { EntityManager } from 'typeorm';
import { JOB_CHANNEL } from './states.js';
import { LOST_AFTER_SECONDS, MAX_ATTEMPTS, RECONCILE_BATCH } from './timings.js';

/** A job whose next attempt is due. */
export interface DueJob {
  readonly id: string;
  readonly attempts: number;
}

const END_SPENT = `
  WITH spent AS (
    SELECT id FROM jobs
     WHERE status = 'running' AND lease_until < now() AND attempts_left = 0
     LIMIT ${RECONCILE_BATCH} FOR UPDATE SKIP LOCKED
  ), job AS (
    UPDATE jobs SET status = 'failed', lease_until = NULL, finished_at = now(), draft = '',
           error_code = 'attempts_exhausted', error_message = $1
      FROM spent WHERE jobs.id = spent.id
    RETURNING jobs.id, jobs.status
  )
  SELECT job.id, pg_notify('${JOB_CHANNEL}', job.id || ' ' || job.status) FROM job`;

/**
 * Ends the jobs whose last attempt was lost. Without this they would stay `running` for ever.
 * @returns how many.
 */
export async function endSpent(manager: EntityManager): Promise<number> {
  const rows = await manager.query<unknown[]>(END_SPENT, [
    `The reply was begun ${MAX_ATTEMPTS} times and lost each time.`,
  ]);
  return rows.length;
}

const ABANDONED = `
  SELECT id, attempts FROM jobs
   WHERE status = 'running' AND lease_until < now()
   ORDER BY lease_until LIMIT ${RECONCILE_BATCH}`;

/** Jobs whose worker no longer holds them, longest first. */
export function abandonedJobs(manager: EntityManager): Promise<DueJob[]> {
  return manager.query<DueJob[]>(ABANDONED);
}

const OVERDUE = `
  SELECT id, attempts FROM jobs
   WHERE status = 'queued' AND available_at < now() - make_interval(secs => $1)
   ORDER BY available_at LIMIT ${RECONCILE_BATCH}`;

/** Jobs that nobody has come for, longest first: their tickets got lost, or wait behind others. */
export function overdueJobs(manager: EntityManager): Promise<DueJob[]> {
  return manager.query<DueJob[]>(OVERDUE, [LOST_AFTER_SECONDS]);
}
