import type { EntityManager } from 'typeorm';
import type { ToolCall } from '#database/entities/tool-call.entity.js';
import { statement } from '#database/statement.js';
import { announce, runs, WAITS_FOR_PERSON } from './states.js';
import type { StepCall } from './steps.js';

/*
 * The transitions of a tool call that a worker makes. What persons decide is in decisions.ts; the calls that a turn leaves open when it ends
 * are settled with the turn (ending.ts).
 *
 * Each statement locks the job's row first, and is fenced by the attempt. A call begins in a statement of its own, before its request is
 * sent: a call that is `running` may have taken effect, one that is `queued` has not.
 */

const HELD = `
  WITH job AS (
    SELECT id, status FROM jobs WHERE id = :jobId AND ${runs('jobs')} AND attempts = :attempt FOR NO KEY UPDATE
  )`;

const START = statement(`${HELD}, begun AS (
    UPDATE tool_calls c SET status = 'running', attempt = :attempt
      FROM job
     WHERE c.job_id = job.id AND c.id = ANY (:callIds::uuid[]) AND (c.status = 'queued' OR c.status = 'running' AND c.attempt <= :attempt)
    RETURNING c.id
  ), notice AS (${announce('job')})
  SELECT array(SELECT id FROM begun) AS ids FROM job LEFT JOIN notice ON true`);

/**
 * Begins calls: they count as running from now on. Calls that a lost attempt had begun begin once more.
 * @returns the calls that may be sent; undefined: the job is another attempt's
 */
export async function startCalls(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  callIds: readonly string[],
): Promise<ReadonlySet<string> | undefined> {
  const [row] = await START.rows<{ ids: string[] }>(manager, { jobId, attempt, callIds });
  return row && new Set(row.ids);
}

const FINISH = statement(`${HELD}, ended AS (
    UPDATE tool_calls c SET status = CASE WHEN :isError::boolean THEN 'failed' ELSE 'succeeded' END, result = :result, is_error = :isError,
           ended_at = clock_timestamp()
      FROM job
     WHERE c.job_id = job.id AND c.id = :callId AND c.status IN ('queued', 'running') AND coalesce(c.attempt, 0) <= :attempt
    RETURNING c.id
  ), notice AS (${announce('job')})
  SELECT FROM job LEFT JOIN notice ON true`);

/**
 * Stores the result of a call. The same result once more changes nothing.
 * @returns false: the job is another attempt's, and nothing was written
 */
export async function finishCall(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  callId: string,
  { result, isError }: Pick<StepCall, 'isError'> & { readonly result: string },
): Promise<boolean> {
  const held = await FINISH.rows(manager, { jobId, attempt, callId, result, isError });
  return held.length > 0;
}

const LOCK = statement(`
  SELECT FROM jobs WHERE id = :jobId AND ${runs('jobs')} AND attempts = :attempt FOR NO KEY UPDATE`);

const CALLS_NOW = statement(`
  SELECT c.id, c.provider_id AS "providerId", c.name, c.input, c.status, c.attempt, c.result, c.is_error AS "isError"
    FROM tool_calls c WHERE c.job_id = :jobId AND c.step = :step ORDER BY c.n`);

const WAIT = statement(`
  WITH job AS (
    UPDATE jobs SET ${WAITS_FOR_PERSON}, draft = kept WHERE id = :jobId
    RETURNING id, status, attempts
  ), call AS (
    DELETE FROM model_calls c USING job WHERE c.job_id = job.id AND c.attempt = job.attempts AND c.outcome = 'running'
  ), notice AS (${announce('job')})
  SELECT FROM job LEFT JOIN notice ON true`);

/** The calls of the last step as they are now, and whether the job waits for a person. */
export interface Waiting {
  readonly calls: readonly StepCall[];
  readonly waits: boolean;
}

/** Whether a person has to act before the call can go on. */
export function awaitsPerson({ status }: Pick<StepCall, 'status'>): boolean {
  return status === 'awaiting_approval' || status === 'awaiting_result';
}

/** Whether nothing of a step is left to do but what a person has to do. */
export function onlyAwaitPersons(calls: readonly Pick<StepCall, 'status' | 'result'>[]): boolean {
  const open = calls.filter(({ result }) => result === null);
  return open.length > 0 && open.every(awaitsPerson);
}

/**
 * Ends the attempt if a call of its last step waits for a person and no other call can go on: the job is `requires_action` then, and holds
 * no slot and no lease. The ledger's entry for the next call of the model goes, since no call was made. (If that is so when the step is
 * committed, the commit itself does it.)
 *
 * A decision may come at the same moment. It locks the job's row, too, so this sees it, or it sees the waiting job.
 *
 * @param step the number of the last finished step
 * @param seconds how long the job waits
 * @returns undefined: the job is another attempt's
 */
export function waitForPerson(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  { step, seconds }: { step: number; seconds: number },
): Promise<Waiting | undefined> {
  return manager.transaction(async (inside) => {
    const held = await LOCK.rows(inside, { jobId, attempt });
    if (held.length === 0) return undefined;
    const calls = await CALLS_NOW.rows<StepCall>(inside, { jobId, step });
    const waits = onlyAwaitPersons(calls);
    if (waits) await WAIT.rows(inside, { jobId, seconds });
    return { calls, waits };
  });
}

/** SQL, for a select list: a tool call `t` in the shape of its entity. */
export const toolCallColumns = (t: string): string => `
  ${t}.id, ${t}.job_id AS "jobId", ${t}.step, ${t}.n, ${t}.provider_id AS "providerId", ${t}.name, ${t}.input, ${t}.status, ${t}.attempt,
  ${t}.decided_by AS "decidedBy", ${t}.reason, ${t}.result, ${t}.is_error AS "isError", ${t}.created_at AS "createdAt",
  ${t}.decided_at AS "decidedAt", ${t}.ended_at AS "endedAt"`;

/** A tool call, and the schema of the result that a front-end has to give, if its definition has one. */
export type ToolCallRow = ToolCall & { readonly resultSchema: Readonly<Record<string, unknown>> | null };

/** SQL: the schema of the result of the tool call `c` of the job `j`; null: the call waits for none. */
export const RESULT_SCHEMA = `CASE WHEN c.status = 'awaiting_result' THEN (
    SELECT tool.value -> 'result_schema' FROM chats ac JOIN assistant_versions a ON a.slug = ac.assistant_slug AND a.version = j.assistant_version,
           jsonb_array_elements(a.definition -> 'tools') AS tool
     WHERE ac.id = j.chat_id AND tool.value ->> 'name' = c.name LIMIT 1) END`;

const READ = statement(`
  SELECT ${toolCallColumns('c')}, ${RESULT_SCHEMA} AS "resultSchema"
    FROM tool_calls c JOIN jobs j ON j.id = c.job_id WHERE c.job_id = :jobId ORDER BY c.step, c.n`);

/** All tool calls of a job, in the order in which the model asked for them. */
export function readToolCalls(manager: EntityManager, jobId: string): Promise<ToolCallRow[]> {
  return READ.rows<ToolCallRow>(manager, { jobId });
}
