import { announce } from './states.js';

/*
 * The one place where a job ends. Every statement that ends jobs (a reply, a failure, a cancel, a lost last attempt, an hour that is over, a
 * decision that did not come, a deletion) sets the columns of ENDS and has the CTEs of `ended`. So each end is announced and counted once,
 * and leaves no draft, no steps and no open tool call behind.
 *
 * A turn with finished steps has done something even if it fails: its tools ran. So every end but a deletion keeps what the turn has said
 * and done as a message (`keptTurn`), and the next turn's prompt has it.
 */

/** SQL, for a SET list: the columns that every end of a job sets, besides its state and its error. */
export const ENDS = `lease_until = NULL, action_since = NULL, action_expires_at = NULL, finished_at = clock_timestamp(), draft = '', kept = ''`;

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

/**
 * SQL, for a FROM list: reads a CTE to its end, without effect on the rows. A CTE that only calls functions runs only if something reads it.
 * PostgreSQL would leave out an outer join whose columns nothing reads.
 */
const readAll = (cte: string): string => `CROSS JOIN (SELECT count(*) FROM ${cte}) AS read_${cte}`;

/** The message that a turn leaves. Each field is SQL. */
interface KeptTurn {
  readonly messageId: string;
  /** The whole text, and the part that belongs to no finished step. */
  readonly said: string;
  readonly lastText: string;
  /** The last answer's parts besides its text and its tool calls. */
  readonly otherParts?: string;
  /** Left out: the model of the definition. */
  readonly model?: string;
  readonly stopReason: string;
  readonly status?: 'incomplete' | ':status';
  readonly stopDetails?: string;
  readonly leftOut?: string;
  /** The jobs that leave a message. */
  readonly where?: string;
  /** A CTE that ends the ledger's entry, and must run before. */
  readonly after?: string;
}

/**
 * SQL, for a CTE after the CTE `job`: keeps what a turn has said and done as the assistant's message, settles its tool calls and removes its
 * steps. The statement must have locked the chat. A turn that failed leaves a message only if it has called tools.
 */
export const keptTurn = (kept: KeptTurn): string => `
    SELECT keep_turn(job.id, ${kept.messageId}, ${kept.said}, ${kept.lastText}, ${kept.otherParts ?? 'NULL'}, ${kept.model ?? 'NULL'},
                     ${kept.stopReason}, ${kept.status === ':status' ? ':status' : `'incomplete'`}, ${kept.stopDetails ?? 'NULL'},
                     ${kept.leftOut ?? 'false'}) FROM job ${kept.after === undefined ? '' : readAll(kept.after)}
     WHERE ${kept.where ?? 'job.step > 0 AND job.finished_at IS NOT NULL'}`;

/** SQL: CTEs for jobs whose chats are being deleted, which leave no message: their open calls get a result, and their steps go. */
const SETTLED = `settled AS (
    SELECT settle_tool_calls(job.id, job.status, job.error_code) FROM job WHERE job.step > 0 AND job.finished_at IS NOT NULL
  ), left_steps AS (
    DELETE FROM steps USING job WHERE job.step > 0 AND job.finished_at IS NOT NULL AND steps.job_id = job.id
  ), left_parts AS (
    DELETE FROM draft_parts USING job WHERE job.finished_at IS NOT NULL AND draft_parts.job_id = job.id
  ), `;

/** How a statement treats finished steps: it settles their calls and removes them; it has the CTE `kept` ({@link keptTurn}); there are none. */
type WithSteps = 'settled' | 'kept' | 'none';

/**
 * SQL: the CTEs that follow the CTE `job`, which has changed jobs and returns their rows, or at least the columns that these CTEs read. A
 * job that did not end, because it is tried again, is only announced. Select from the CTE `ended`: it has an {@link EndedTurn} for each
 * job, with its `id`. A statement for jobs without finished steps begins faster if it leaves their removal out.
 */
export const ended = (steps: WithSteps): string => `${steps === 'settled' ? SETTLED : ''}notice AS (${announce('job')}
  ), ended AS (
    SELECT job.id, job.status, (SELECT c.assistant_slug FROM chats c WHERE c.id = job.chat_id) AS assistant,
           extract(epoch FROM coalesce(job.finished_at, clock_timestamp()) - coalesce(job.requeued_at, job.created_at))::float8 AS seconds
      FROM job JOIN notice ON notice.id = job.id ${steps === 'none' ? '' : readAll(steps)}
  )`;

/** SQL: the fields of an {@link EndedTurn}, from the CTE `ended`. */
export const ENDED_TURN = 'ended.status, ended.assistant, ended.seconds';
