import type { JobStatus } from '#database/entities/job.entity.js';

/** The channel on which PostgreSQL announces every change of a job's state, as `<job id> <status>`. */
export const JOB_CHANNEL = 'rejoinder_jobs';

/** The channel on which the worker that runs a job is asked to cancel it, as `<job id>`. */
export const CANCEL_CHANNEL = 'rejoinder_cancels';

/** The channel on which PostgreSQL announces that attempts may be begun again. The notice says nothing more. */
export const DISPATCH_CHANNEL = 'rejoinder_dispatch';

/** SQL: since when a job's hour runs. An operator who puts a failed one back gives it another. */
export const LIVES_SINCE = 'coalesce(requeued_at, created_at)';

/*
 * Which jobs an index holds is said in words that only its own statements use: `finished_at IS NULL` is that of a chat (`isUnfinished`), and
 * those below. The plain ones, `status = 'queued'` and `status = 'running'`, are those of `jobs_due` and `jobs_running`.
 *
 * Said alike, any of them would do for any statement, and the planner takes one for as good as the other: hardly any job was unfinished
 * when it last looked, so it expects one row from each, whether it is then looked up or all of the index is read and sorted. It keeps to
 * that however many wait by now, until the table has grown by a tenth: 50,000 that waited cost each claim, heartbeat and end 20 to 40 ms.
 */

/** SQL: a job is queued, for statements that read them by whose turn it is (`line`: `jobs_in_line`) or by their hour (`age`: `jobs_age`). */
export const waits = (order: 'line' | 'age'): string => `(status || ' ${order}') = 'queued ${order}'`;

/** SQL: a job is running, for statements that find it by its id: `jobs_running` would be read from end to end, with all that has left it. */
export const runs = (t: string): string => `(${t}.status || ' id') = 'running id'`;

/** SQL: a job is neither succeeded, failed nor canceled, for statements that look for those of one user (`jobs_of_user`). */
export const unfinishedOfUser = (t: string): string => `(${t}.status || ' user') IN ('queued user', 'running user')`;

/** A turn that has come to its end, for the metrics. */
export interface EndedTurn {
  /** Slug of the chat's assistant. */
  readonly assistant: string;
  /** From accepted (or put back by an operator) to final, in seconds, on the database's clock. */
  readonly seconds: number;
}

/** {@link EndedTurn} in a statement's select list, of the CTE `job` and the table `chats` by these names. */
export const endedTurn = (job: string, chat: string): string =>
  `${chat}.assistant_slug AS assistant, extract(epoch FROM now() - coalesce(${job}.requeued_at, ${job}.created_at))::float8 AS seconds`;

/** A state that never changes again, unless an operator puts a failed job back (`requeue`). */
export function isFinal(status: JobStatus): boolean {
  return status === 'succeeded' || status === 'failed' || status === 'canceled';
}

/** Announces the state of each job that this CTE holds: the notices leave with the commit. */
export const announce = (cte: string): string =>
  `SELECT ${cte}.id, pg_notify('${JOB_CHANNEL}', ${cte}.id || ' ' || ${cte}.status) FROM ${cte}`;
