import type { EntityManager } from 'typeorm';
import type { CallOutcome } from '#database/entities/model-call.entity.js';
import { statement, type Values } from '#database/statement.js';
import { estimatedTokens } from './estimates.js';
import { RECONCILE_BATCH, SPENDING_DAYS } from './timings.js';

/*
 * The ledger has an entry for each call of the model, one for each step of an attempt, and one for a summary before the first step
 * (summaries.ts). The statement that claims the job, or that commits the previous step, opens the entry before the call. The statement that
 * commits the step, or that ends the attempt, ends the entry. A worker that was fenced off, or that learned of its job's end too late, adds
 * its figures. The reconciler ends entries that a dead worker left open, as `lost`.
 */

/** The figures of a call. Null: the model has not reported this figure yet. */
export interface CallFigures {
  /** The model that was called; null: the one that the entry was opened for. */
  readonly model: string | null;
  /** The id of the answer. */
  readonly messageId: string | null;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  /** Parts of the input: read from the provider's cache, and written to it. */
  readonly cacheReadTokens: number | null;
  readonly cacheWrite5mTokens: number | null;
  readonly cacheWrite1hTokens: number | null;
  /** The part of the output that the model thought. */
  readonly thinkingTokens: number | null;
  /** Requests of the provider's tools, by their names in the model's usage. */
  readonly serverTools: Readonly<Record<string, number>> | null;
  /** Some of the tokens are estimates. */
  readonly estimated: boolean;
  /** From the beginning of the call to its first text, in milliseconds. */
  readonly firstTextMs: number | null;
}

export const NO_FIGURES: CallFigures = {
  model: null,
  messageId: null,
  inputTokens: null,
  outputTokens: null,
  cacheReadTokens: null,
  cacheWrite5mTokens: null,
  cacheWrite1hTokens: null,
  thinkingTokens: null,
  serverTools: null,
  estimated: false,
  firstTextMs: null,
};

/** The figures as values of a statement that ends an entry. */
export function figureValues(figures: CallFigures): Values {
  const { messageId, serverTools } = figures;
  return {
    calledModel: figures.model,
    modelMessageId: messageId,
    inputTokens: figures.inputTokens,
    outputTokens: figures.outputTokens,
    cacheReadTokens: figures.cacheReadTokens,
    cacheWrite5mTokens: figures.cacheWrite5mTokens,
    cacheWrite1hTokens: figures.cacheWrite1hTokens,
    thinkingTokens: figures.thinkingTokens,
    serverTools: serverTools && JSON.stringify(serverTools),
    firstTextMs: figures.firstTextMs,
    estimated: figures.estimated,
  };
}

/** The columns of figures that later values replace, by the names of their values. */
const REPLACED = {
  cacheReadTokens: 'cache_read_tokens',
  cacheWrite5mTokens: 'cache_write_5m_tokens',
  cacheWrite1hTokens: 'cache_write_1h_tokens',
  thinkingTokens: 'thinking_tokens',
  firstTextMs: 'first_text_ms',
};
const SET_REPLACED = Object.entries(REPLACED)
  .map(([value, column]) => `${column} = coalesce(:${value}::int, model_calls.${column})`)
  .join(', ');

/** Facts of a statement that ends a call and may bring no figures: the text that arrived, and the row of the job. Each is SQL. */
interface Seen {
  readonly text: string;
  readonly job: string;
}

/**
 * A figure replaces the earlier one only if the statement has a new value. A statement with tokens also says whether they are estimates.
 *
 * @param seen without values for the tokens, it gives estimates
 */
export function setFigures(seen?: Seen): string {
  const input = ':inputTokens::int, model_calls.input_tokens';
  const output = 'coalesce(:outputTokens::int, model_calls.output_tokens)';
  const estimated = `CASE WHEN :inputTokens::int IS NOT NULL OR :outputTokens::int IS NOT NULL THEN :estimated::boolean ELSE model_calls.estimated END`;
  const broughtOutput = ':outputTokens::int IS NOT NULL';
  const set = `model = coalesce(:calledModel::text, model_calls.model), message_id = coalesce(:modelMessageId::text, model_calls.message_id),
           ${SET_REPLACED}, server_tools = coalesce(:serverTools::jsonb, model_calls.server_tools)`;
  if (seen === undefined) {
    return `${set}, input_tokens = coalesce(${input}), output_tokens = ${output}, estimated = ${estimated}`;
  }
  return `${set},
           input_tokens = coalesce(${input}, CASE WHEN :estimated::boolean THEN ${unreported(seen.job)} END),
           output_tokens = CASE WHEN ${broughtOutput} THEN ${output} ELSE ${outputOf(seen.text)} END,
           estimated = CASE WHEN ${broughtOutput} THEN ${estimated} ELSE :estimated::boolean OR (${estimated}) OR ${isEstimate(seen.text)} END`;
}

/** At least the estimated tokens of the text, if there is text. */
const outputOf = (text: string): string =>
  `CASE WHEN ${text} = '' THEN model_calls.output_tokens ELSE greatest(model_calls.output_tokens, ${estimatedTokens(text)}) END`;

/** The figure is an estimate if the model had begun to answer. */
const isEstimate = (text: string): string =>
  `model_calls.estimated OR model_calls.message_id IS NOT NULL OR ${text} <> ''`;

/** The estimated input of a call of the job `job`. */
const unreported = (job: string): string => `unreported_input(${job}.id, ${job}.chat_id)`;

/**
 * SQL, for a SET list: the tokens of a call of the job `job` that left only the draft `text`. Its worker may have died before it reported
 * the input, or even before it made the call. Nobody knows, so the entry has the input as an estimate.
 */
export const tokensOfDraft = (text: string, job: string): string =>
  `input_tokens = coalesce(model_calls.input_tokens, ${unreported(job)}), output_tokens = ${outputOf(text)}, estimated = true`;

/** How a statement ends an entry. */
interface End {
  /** SQL. */
  readonly outcome: string;
  readonly code?: string;
  /** SQL: the text of the answer that arrived. */
  readonly text?: string;
}

/**
 * SQL: ends the entry of the attempt in the CTE `job` (with `id` and `attempts`) if it is open, with the values of {@link figureValues}. It
 * ends at most one entry: an earlier attempt's entry may be open, too, but belongs to that attempt, and the entry of a summary is ended
 * apart.
 */
export function endCalls(job: string, { outcome, code = 'NULL', text }: End): string {
  return `
    UPDATE model_calls SET outcome = ${outcome}, error_code = ${code}, ended_at = clock_timestamp(),
           ${setFigures(text === undefined ? undefined : { text, job })}
      FROM ${job}
     WHERE model_calls.job_id = ${job}.id AND model_calls.attempt = ${job}.attempts AND model_calls.step > 0
       AND model_calls.outcome = 'running'
    RETURNING model_calls.message_id, model_calls.input_tokens, model_calls.output_tokens, model_calls.cache_read_tokens,
              model_calls.cache_write_5m_tokens + model_calls.cache_write_1h_tokens AS cache_write_tokens,
              model_calls.thinking_tokens, model_calls.cost, model_calls.estimated, model_calls.model, model_calls.user_id,
              model_calls.assistant_slug`;
}

/** SQL: the usage columns of a message, and their values, from the CTE `call` of {@link endCalls}, which may have no row. */
export const USAGE_COLUMNS =
  'input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, thinking_tokens, cost, usage_estimated';
export const usageOf = (withoutCall: { estimated: boolean }): string => `
           coalesce(call.input_tokens, 0), coalesce(call.output_tokens, 0), call.cache_read_tokens, call.cache_write_tokens,
           call.thinking_tokens, call.cost, coalesce(call.estimated, ${withoutCall.estimated})`;

/** SQL: the tokens of a reply that was cut, and of its prompt, from the CTE `call` of {@link endCalls}; null: the model did not report them. */
export const CONTEXT_OF_CUT = `(SELECT CASE WHEN message_id IS NOT NULL AND input_tokens > 0
    THEN input_tokens + coalesce(output_tokens, 0) - coalesce(thinking_tokens, 0) END FROM call)`;

/**
 * The call of a canceled job counts as canceled, even if the job was cleared meanwhile. Any other call that ends here counts as lost: its
 * worker came too late.
 */
const LATE_OUTCOME = (job: string): string =>
  `CASE WHEN coalesce((SELECT j.status FROM jobs j WHERE j.id = ${job}), 'canceled') = 'canceled' THEN 'canceled' ELSE 'lost' END`;

/** The worker knows all figures of its call, so they replace what was estimated without it. */
const SETTLE = statement(`
  UPDATE model_calls SET
         outcome = CASE WHEN outcome = 'running' THEN ${LATE_OUTCOME(':jobId')} ELSE outcome END,
         ended_at = coalesce(ended_at, clock_timestamp()), model = coalesce(:calledModel::text, model),
         message_id = coalesce(:modelMessageId::text, message_id),
         ${SET_REPLACED}, server_tools = coalesce(:serverTools::jsonb, server_tools),
         input_tokens = :inputTokens::int, output_tokens = :outputTokens::int, estimated = :estimated::boolean
   WHERE job_id = :jobId AND attempt = :attempt AND step = :step AND outcome <> 'completed'
  RETURNING outcome`);

/**
 * Adds the figures of a call whose job is another attempt's, or has ended. The service pays for the call all the same.
 * @param step the step that the call was for, from 1; 0: a summary before the first
 * @returns the outcome in the entry; undefined: there is no entry, or it is complete
 */
export async function settleCall(
  manager: EntityManager,
  jobId: string,
  attempt: number,
  step: number,
  figures: CallFigures,
): Promise<CallOutcome | undefined> {
  const [row] = await SETTLE.rows<{ outcome: CallOutcome }>(manager, {
    jobId,
    attempt,
    step,
    ...figureValues(figures),
  });
  return row?.outcome;
}

/** The condition names only `ended_at`, as the index does. The statement finds an attempt's own entry by its key. */
const END_ORPHANS = statement(`
  WITH orphan AS (
    SELECT c.job_id, c.attempt, c.step, j.id, j.chat_id FROM model_calls c LEFT JOIN jobs j ON j.id = c.job_id
     WHERE c.ended_at IS NULL AND c.started_at < now() - interval '5 seconds'
       AND (j.status = 'running' AND j.attempts = c.attempt) IS NOT TRUE
     LIMIT ${RECONCILE_BATCH} FOR UPDATE OF c SKIP LOCKED
  )
  UPDATE model_calls c SET outcome = ${LATE_OUTCOME('c.job_id')}, ended_at = clock_timestamp(),
         input_tokens = coalesce(c.input_tokens, ${unreported('orphan')}), estimated = true
    FROM orphan
   WHERE c.job_id = orphan.job_id AND c.attempt = orphan.attempt AND c.step = orphan.step AND c.outcome = 'running'`);

/**
 * Ends entries whose attempt is over but whose worker did not end them, with estimates: the worker died, or it began the call at the moment when it lost
 * the job.
 * @returns how many
 */
export function endOrphans(manager: EntityManager): Promise<number> {
  return END_ORPHANS.affected(manager);
}

const PURGE_SPENDING = statement(
  `DELETE FROM spending WHERE day < (this_day() AT TIME ZONE 'UTC')::date - ${SPENDING_DAYS}`,
);

/** Removes what assistants spent on days for which no budget asks any more. */
export async function purgeSpending(manager: EntityManager): Promise<void> {
  await PURGE_SPENDING.affected(manager, {});
}
