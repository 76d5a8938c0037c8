import { announce } from './states.js';

/*
 * The one place where a job ends. Every statement that ends jobs (a reply, a failure, a cancel, a lost last attempt, an hour that is over,
 * a deletion) sets the columns of ENDS and has the CTEs of `ended`. So each end is announced and counted once, and leaves no steps and no
 * draft behind.
 */

/** SQL, for a SET list: the columns that every end of a job sets, besides its state and its error. */
export const ENDS = `lease_until = NULL, finished_at = clock_timestamp(), draft = '', kept = ''`;

/** SQL: the same for a statement that ends a job only if the condition `goesOn` is false. A job that goes on keeps its finished steps. */
export const endsUnless = (goesOn: string): string => `lease_until = NULL,
           finished_at = CASE WHEN ${goesOn} THEN NULL ELSE clock_timestamp() END,
           draft = CASE WHEN ${goesOn} THEN jobs.kept ELSE '' END,
           kept = CASE WHEN ${goesOn} THEN jobs.kept ELSE '' END`;

/** A turn that has ended, for the metrics. */
export interface EndedTurn {
  readonly status: 'succeeded' | 'failed' | 'canceled';
  /** Slug of the chat's assistant. */
  readonly assistant: string;
  /** From accepted (or put back by an operator) to its end, in seconds, by the database's clock. */
  readonly seconds: number;
}

const LEFT_STEPS = `left_steps AS (
    DELETE FROM steps USING job WHERE job.step > 0 AND job.finished_at IS NOT NULL AND steps.job_id = job.id
  ), `;

/**
 * SQL: the CTEs that follow the CTE `job`, which has changed jobs and returns their rows, or at least the columns that these CTEs read. A
 * job that did not end, because it is tried again, is only announced. Select from the CTE `ended`: it has an {@link EndedTurn} for each
 * job, with its `id`. A statement for jobs without finished steps begins faster if it leaves their removal out.
 */
export const ended = (
  steps: 'with steps' | 'without steps' = 'with steps',
): string => `${steps === 'with steps' ? LEFT_STEPS : ''}notice AS (${announce('job')}
  ), ended AS (
    SELECT job.id, job.status, (SELECT c.assistant_slug FROM chats c WHERE c.id = job.chat_id) AS assistant,
           extract(epoch FROM coalesce(job.finished_at, clock_timestamp()) - coalesce(job.requeued_at, job.created_at))::float8 AS seconds
      FROM job JOIN notice ON notice.id = job.id
  )`;

/** SQL: the fields of an {@link EndedTurn}, from the CTE `ended`. */
export const ENDED_TURN = 'ended.status, ended.assistant, ended.seconds';
