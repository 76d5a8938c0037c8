import type { JobStatus } from '#database/entities/job.entity.js';

/** The channel on which PostgreSQL announces every change of a job's state, as `<job id> <status>`. */
export const JOB_CHANNEL = 'rejoinder_jobs';

/** The channel on which the worker that runs a job is asked to cancel it, as `<job id>`. */
export const CANCEL_CHANNEL = 'rejoinder_cancels';

/** The channel on which PostgreSQL announces that attempts may be begun again. The notice says nothing more. */
export const DISPATCH_CHANNEL = 'rejoinder_dispatch';

/** SQL: since when a job's hour runs. An operator who puts a failed one back gives it another. */
export const LIVES_SINCE = 'coalesce(requeued_at, created_at)';

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
