import type { JobStatus } from '#database/entities/job.entity.js';
import { LONGEST_LIFE_SECONDS } from './timings.js';

/** The channel on which PostgreSQL announces every change of a job's state, as `<job id> <status>`. */
export const JOB_CHANNEL = 'rejoinder_jobs';

/** The channel on which PostgreSQL asks a job's worker to cancel it, as `<job id>`. */
export const CANCEL_CHANNEL = 'rejoinder_cancels';

/**
 * The channel on which PostgreSQL announces to all workers that attempts may begin: dispatch has resumed (the notice is empty), or a
 * stopping worker handed a job back ({@link HANDED_BACK}).
 */
export const DISPATCH_CHANNEL = 'rejoinder_dispatch';
export const HANDED_BACK = 'handed back';

/** SQL: when a job's hour began. It begins anew when an operator puts the job back. */
export const LIVES_SINCE = 'coalesce(requeued_at, created_at)';

/** SQL: a job's hour is over. It stands still while the job waits for a person. */
export const HOUR_IS_OVER = `(${LIVES_SINCE} < now() - make_interval(secs => ${LONGEST_LIFE_SECONDS} + waited_seconds))`;

/*
 * Each partial index has a predicate that no other statement repeats: `finished_at IS NULL` for the unfinished job of a chat
 * (`isUnfinished`), and the predicates below. The plain predicates, `status = 'queued'` and `status = 'running'`, belong to `jobs_due` and
 * `jobs_running`.
 *
 * With the same predicate any of these indexes would fit any statement, and the planner could not tell them apart. When PostgreSQL last
 * gathered statistics, hardly any job was unfinished. So the planner expects one row from each index, whether it looks up one key or reads
 * and sorts the whole index, until the table has grown by a tenth. With 50,000 waiting jobs each claim, heartbeat and end then took 20 to
 * 40 ms.
 */

/** SQL: a job is queued, for statements that read jobs by round (`line`: `jobs_in_line`) or by their hour (`age`: `jobs_age`). */
export const waits = (order: 'line' | 'age'): string => `(status || ' ${order}') = 'queued ${order}'`;

/**
 * SQL: a job is running, for statements that find it by its id. With the plain predicate they would read all of `jobs_running`, dead
 * entries included.
 */
export const runs = (t: string): string => `(${t}.status || ' id') = 'running id'`;

/** Whether a state is final. Only an operator can put a failed job back (`requeue`). */
export function isFinal(status: JobStatus): boolean {
  return status === 'succeeded' || status === 'failed' || status === 'canceled';
}

/** Whether no worker works on a job, or soon will: it is final, or waits for a person. A request that waits for the job is answered. */
export function isAtRest(status: JobStatus): boolean {
  return isFinal(status) || status === 'requires_action';
}

/** SQL, for a SET list: a running job waits for a person, for at most `:seconds`. */
export const WAITS_FOR_PERSON = `status = 'requires_action', lease_until = NULL, action_since = clock_timestamp(),
           action_expires_at = clock_timestamp() + make_interval(secs => :seconds)`;

/** SQL: announces the state of each job in this CTE. PostgreSQL sends the notices with the commit. */
export const announce = (cte: string): string =>
  `SELECT ${cte}.id, pg_notify('${JOB_CHANNEL}', ${cte}.id || ' ' || ${cte}.status) FROM ${cte}`;
