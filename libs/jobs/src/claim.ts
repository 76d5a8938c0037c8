import type { EntityManager } from 'typeorm';
import type { CacheTtl, Compaction, Effort, Thinking } from '#database/entities/assistant.entity.js';
import type { Definition } from '#database/entities/assistant-version.entity.js';
import type { Tool } from '#database/entities/tool.js';
import { type Statement, statement, type Values } from '#database/statement.js';
import { Definitions, versionOf } from './definitions.js';
import { DISPATCH_IS_ON } from './dispatch.js';
import { HISTORY, type HistoryRow, SUMMARY, WINDOW_FROM_SEQ } from './history.js';
import { tokensOfDraft } from './ledger.js';
import { announce, HOUR_IS_OVER, LIVES_SINCE, waits } from './states.js';
import { FINISHED_STEPS, type FinishedStep, MODEL_OF_STEP, textOfStep } from './steps.js';
import {
  CLAIMED_AT_ONCE,
  CONTEXT_TOKENS,
  LEASE_SECONDS,
  LEFT_TO_NEW_SECONDS,
  MOST_STEPS,
  PROBE_AMONG,
  WAIT_FOR_PERSON_SECONDS,
} from './timings.js';

/*
 * Chooses the next jobs. A ticket says that some job is due, not which. A worker that gets a ticket claims the next jobs, several at once,
 * each with all that its call needs. So no other statement stands between a claim and the call of the model.
 *
 * Jobs are ordered by rounds. A user's first job joins the current round, and each further job a later round of its own (the function
 * `next_place`). So every user is served once before any user is served twice, and a user who sends ten thousand turns delays another's
 * single turn by about one turn. The rounds follow from the unfinished jobs; nothing else is counted.
 */

/** A job with all that a worker needs to begin an attempt. */
export interface ClaimedJob {
  readonly id: string;
  readonly chatId: string;
  readonly userId: string;
  /** Slug of the chat's assistant. */
  readonly assistant: string;
  readonly requestId: string;
  /** The trace context in which the turn was accepted; null: no traces are kept. */
  readonly traceparent: string | null;
  /** The number of this attempt, the fencing token of all its writes. */
  readonly attempt: number;
  /** The version of the assistant's definition that answers the job, and the definition's fields. */
  readonly assistantVersion: number;
  readonly systemPrompt: string;
  readonly model: string;
  readonly maxOutputTokens: number;
  /** Null: the model's default. */
  readonly thinking: Thinking | null;
  readonly effort: Effort | null;
  readonly outputSchema: Readonly<Record<string, unknown>> | null;
  readonly stopSequences: readonly string[] | null;
  readonly cacheTtl: CacheTtl;
  /** Most tokens of a prompt, and what becomes of the oldest messages when it would have more. */
  readonly contextLimit: number;
  readonly compaction: Compaction;
  /** Null: none. */
  readonly fallbackModel: string | null;
  /** The reply has the model's reasoning. */
  readonly showReasoning: boolean;
  readonly tools: readonly Tool[];
  /** Most calls of the model in the turn. */
  readonly maxSteps: number;
  /** How long the turn waits for a person, in seconds. */
  readonly actionSeconds: number;
  /** Seconds since the turn was accepted (or put back by an operator), and since this attempt was due. */
  readonly ageSeconds: number;
  readonly waitedSeconds: number;
  /** Its finished steps, oldest first. The attempt goes on after them. */
  readonly steps: readonly FinishedStep[];
  /** An earlier attempt has published text. */
  readonly hadText: boolean;
  /** The attempt before this one was lost. */
  readonly takenOver: boolean;
  /** Tokens of the chat's last reply and its prompt, as the model counted them; null: not known. */
  readonly contextTokens: number | null;
  /** The definition's version that made this reply; null: not known. */
  readonly contextVersion: number | null;
  /** `seq` of the first message of the chat's window; null: prompts have all messages. */
  readonly windowFromSeq: number | null;
  /** The summary of what is before the history; null: there is none, or the definition does not want one. */
  readonly summary: string | null;
  /** The messages to send: the chat's newest messages up to the one to answer, newest first, from the beginning of its window on. */
  readonly history: readonly HistoryRow[];
  /** The window has more bytes than the claim has read. */
  readonly historyIsCut: boolean;
}

/** The result of a claim. */
export interface Claimed {
  readonly jobs: readonly ClaimedJob[];
  /** More jobs are due. */
  readonly more: boolean;
}

const MAY_BEGIN = `
  attempts_left > 0 AND NOT ${HOUR_IS_OVER} AND ${DISPATCH_IS_ON}`;

/** The jobs that a claim chooses from: all, those that are not withheld, or one that probes whether the model is back. */
type Choice = 'all' | 'not withheld' | 'probe';

/** A job that was handed back is due at once for new workers, and a little later for the others. */
const IS_DUE = `available_at <= now() AND ${MAY_BEGIN}
  AND (left_to_workers_since IS NULL OR left_to_workers_since <= now() - make_interval(secs => :uptimeSeconds)
       OR available_at <= now() - make_interval(secs => ${LEFT_TO_NEW_SECONDS}))`;

const SINCE = 'coalesce(job.requeued_at, job.created_at)';

/** When a claimed attempt was due. `before` is the row before this statement: the statement sees its own change only in `RETURNING`. */
const DUE = `CASE WHEN before.status = 'running' THEN before.lease_until ELSE job.available_at END`;

/** Jobs that a claim passes over, because their calls would fail. */
export interface Withheld {
  /** Names of models, and slugs of assistants. */
  readonly models: readonly string[];
  readonly assistants: readonly string[];
}

/** Jobs that a claim is for: those of a model, those of an assistant, or all if neither is given. */
export interface Only {
  readonly model?: string;
  readonly assistant?: string;
}

/** SQL: `holds` is true for the definition that answers a job, whose row is `a`. */
const definitionOf = (job: string, holds: string): string => `EXISTS (
  SELECT FROM chats ac JOIN assistant_versions a ON a.slug = ac.assistant_slug AND a.version = ${versionOf(job, 'ac')}
   WHERE ac.id = ${job}.chat_id AND (${holds}))`;

/** SQL: the fallback model of the definition `a`; null: it has none. */
const FALLBACK = `(a.definition ->> 'fallback_model')`;

/** SQL: no model can answer a job in its first step: neither its own nor the fallback. */
const NO_MODEL_OF_TWO = `a.model = ANY (:models::text[]) AND coalesce(${FALLBACK} = ANY (:models::text[]), true)`;

/** SQL: the model that has made the steps of a job is withheld. Another one cannot go on. */
const MODEL_OF_STEPS = `coalesce((${MODEL_OF_STEP('jobs.id', 'jobs.step')}), a.model) = ANY (:models::text[])`;

/** SQL: a job is not withheld. The values are those of {@link Withheld}. */
export const NOT_WITHHELD = `NOT ${definitionOf(
  'jobs',
  `CASE WHEN jobs.step > 0 AND ${FALLBACK} IS NOT NULL THEN ${MODEL_OF_STEPS} ELSE ${NO_MODEL_OF_TWO} END
    OR a.slug = ANY (:assistants::text[])`,
)}`;
const IS_THAT = definitionOf('jobs', 'a.model = coalesce(:model, a.model) AND a.slug = coalesce(:assistant, a.slug)');

/**
 * The probe is the job with the fewest attempts among the next jobs, so that workers do not try a turn that always fails again and again
 * while others wait.
 */
const chosen = (choice: Choice, index: 'line' | 'age', order: string, limit: number): string => {
  const due = `${waits(index)} AND ${IS_DUE}`;
  switch (choice) {
    case 'all':
      return `${due} AND NOT EXISTS (SELECT FROM lost) ORDER BY ${order} LIMIT ${limit}`;
    case 'not withheld':
      return `${due} AND ${NOT_WITHHELD} AND NOT EXISTS (SELECT FROM lost) ORDER BY ${order} LIMIT ${limit}`;
    case 'probe':
      return `id = ANY (ARRAY(
                SELECT id FROM jobs WHERE ${due} AND (attempts = 0 OR NOT :afresh::boolean) AND ${NOT_WITHHELD} AND ${IS_THAT}
                 ORDER BY ${order} LIMIT ${PROBE_AMONG}))
              AND (status || ' id') = 'queued id' AND ${IS_DUE} AND NOT EXISTS (SELECT FROM lost)
              ORDER BY attempts, ${order} LIMIT ${limit}`;
  }
};

/** Lost attempts that a claim takes over. A probe takes any lost attempt of its scope: no other claim does while the scope is held. */
const LOST: Readonly<Record<Choice, string>> = {
  all: 'id = ANY (:lost::uuid[])',
  'not withheld': `id = ANY (:lost::uuid[]) AND ${NOT_WITHHELD}`,
  probe: `NOT id = ANY (:run::uuid[]) AND NOT :afresh AND ${NOT_WITHHELD} AND ${IS_THAT}`,
};

/**
 * SQL, for a FROM list: a row of `table` for each row before it, by the condition `key` on a key. PostgreSQL cannot turn a subquery with
 * `OFFSET` into an ordinary join, so it looks each row up by the index. For an ordinary join it may read the whole index in order. That
 * looks cheap if only the oldest chats have jobs in the statistics, and then each claim reads all chats.
 */
const eachHas = (table: string, as: string, key: string): string =>
  `JOIN LATERAL (SELECT * FROM ${table} ${as} WHERE ${key} OFFSET 0) ${as} ON true`;

/** SQL: the chat `c` and the definition `a` of each job in the CTE `job`. */
const DEFINITION = `${eachHas('chats', 'c', 'c.id = job.chat_id')}
    ${eachHas('assistant_versions', 'a', 'a.slug = c.assistant_slug AND a.version = job.assistant_version')}`;

/*
 * The limit is part of the text, not a value: PostgreSQL makes one plan for all values, and a plan for any limit may sort all due jobs.
 * Claims that withhold jobs have texts of their own, since these read each job's assistant.
 *
 * The claim opens the call's entry in the ledger. So every call has an entry, and almost every entry has its call.
 */
const claimNext = (choice: Choice, index: 'line' | 'age', order: string, limit: number): Statement =>
  statement(`
  WITH lost AS (
    SELECT id FROM jobs WHERE ${LOST[choice]} AND status = 'running' AND lease_until < now() AND ${MAY_BEGIN}
     LIMIT ${limit} FOR UPDATE SKIP LOCKED
  ), next AS (
    SELECT id FROM jobs WHERE ${chosen(choice, index, order, limit)} FOR UPDATE SKIP LOCKED
  ), job AS (
    UPDATE jobs SET status = 'running', attempts = attempts + 1, attempts_left = attempts_left - 1, draft = kept,
           assistant_version = coalesce(assistant_version, (
             SELECT current.version FROM chats ac JOIN assistants current ON current.slug = ac.assistant_slug WHERE ac.id = jobs.chat_id)),
           left_to_workers_since = NULL, lease_until = now() + make_interval(secs => ${LEASE_SECONDS}),
           started_at = coalesce(started_at, clock_timestamp())
      FROM (SELECT id FROM lost UNION ALL SELECT id FROM next) chosen
     WHERE jobs.id = chosen.id
    RETURNING jobs.*
  ), lost_call AS (
    UPDATE model_calls SET outcome = 'lost', ended_at = clock_timestamp(), ${tokensOfDraft(textOfStep('before', 'before.draft'), 'before')}
      FROM job JOIN jobs before ON before.id = job.id
     WHERE model_calls.job_id = job.id AND model_calls.outcome = 'running'
  ), begun AS (
    INSERT INTO model_calls (job_id, attempt, step, model, user_id, assistant_slug)
    SELECT job.id, job.attempts, job.step + 1, a.model, job.user_id, a.slug
      FROM job ${DEFINITION}
  ), notice AS (${announce('job')})
  SELECT job.id, job.chat_id AS "chatId", job.user_id AS "userId", a.slug AS assistant,
         job.request_id AS "requestId", job.traceparent, job.attempts AS attempt,
         a.slug || ' ' || a.version AS "definitionName", job.assistant_version AS "assistantVersion",
         CASE WHEN a.slug || ' ' || a.version <> ALL (:known::text[]) THEN a.definition END AS definition,
         ${FINISHED_STEPS} AS steps,
         extract(epoch FROM now() - ${SINCE})::float8 AS "ageSeconds",
         extract(epoch FROM now() - ${DUE})::float8 AS "waitedSeconds",
         EXISTS (SELECT FROM model_calls p WHERE p.job_id = job.id AND p.first_text_ms IS NOT NULL) AS "hadText",
         before.status = 'running' AS "takenOver", c.context_tokens AS "contextTokens",
         ${WINDOW_FROM_SEQ} AS "windowFromSeq", (${SUMMARY}) AS summary, h.messages AS history, h.is_cut AS "historyIsCut",
         h.version AS "contextVersion",
         EXISTS (SELECT FROM lost) OR ((SELECT count(*) FROM next) = ${limit} AND EXISTS
           (SELECT FROM jobs WHERE status = 'queued' AND ${IS_DUE} ${choice === 'all' ? '' : `AND ${NOT_WITHHELD}`}
              AND id NOT IN (SELECT id FROM next))) AS more
    FROM job
    JOIN jobs before ON before.id = job.id
    ${eachHas('messages', 'm', 'm.id = job.user_message_id')}
    ${DEFINITION}
    CROSS JOIN LATERAL (${HISTORY}) AS h
    LEFT JOIN notice ON notice.id = job.id
   ORDER BY job.round, job.id`);

const texts = (choice: Choice): { fair: Statement[]; oldest: Statement } => ({
  fair: Array.from({ length: CLAIMED_AT_ONCE }, (_, n) => claimNext(choice, 'line', 'round, id', n + 1)),
  oldest: claimNext(choice, 'age', LIVES_SINCE, 1),
});
const ALL = texts('all');
const NOT_WITHHELD_ONES = texts('not withheld');
const PROBE = claimNext('probe', 'line', 'round, id', 1);

interface ClaimedRow extends Omit<
  ClaimedJob,
  | 'systemPrompt'
  | 'model'
  | 'maxOutputTokens'
  | 'thinking'
  | 'effort'
  | 'outputSchema'
  | 'stopSequences'
  | 'cacheTtl'
  | 'contextLimit'
  | 'compaction'
  | 'fallbackModel'
  | 'showReasoning'
  | 'tools'
  | 'maxSteps'
  | 'actionSeconds'
  | 'steps'
> {
  readonly definitionName: string;
  readonly definition: Definition | null;
  readonly steps: readonly FinishedStep[] | null;
  readonly more: boolean;
}

/** Runs a claim, whose answer has the definitions that the worker does not have. */
async function claimBy(
  manager: EntityManager,
  text: Statement,
  values: Values,
  definitions: Definitions,
): Promise<{ jobs: ClaimedJob[]; more: boolean }> {
  const known = definitions.known();
  const rows = await text.rows<ClaimedRow>(manager, values, { known: known.names });
  const jobs = rows.map((row) => {
    const definition = row.definition ?? known.definitions.get(row.definitionName);
    if (definition === undefined) throw new Error(`The definition ${row.definitionName} is missing.`);
    definitions.use(row.definitionName, definition);
    return jobOf(row, definition);
  });
  return { jobs, more: rows[0]?.more ?? false };
}

/** Lists the fields, because V8 takes long to spread the rest of a row into another object. */
const jobOf = (row: ClaimedRow, definition: Definition): ClaimedJob => ({
  id: row.id,
  chatId: row.chatId,
  userId: row.userId,
  assistant: row.assistant,
  requestId: row.requestId,
  traceparent: row.traceparent,
  attempt: row.attempt,
  assistantVersion: row.assistantVersion,
  systemPrompt: definition.system_prompt,
  model: definition.model,
  maxOutputTokens: definition.max_output_tokens,
  thinking: definition.thinking,
  effort: definition.effort,
  outputSchema: definition.output_schema ?? null,
  stopSequences: definition.stop_sequences ?? null,
  cacheTtl: definition.cache_ttl ?? '5m',
  contextLimit: definition.context_tokens ?? CONTEXT_TOKENS,
  compaction: definition.compaction ?? 'truncate',
  fallbackModel: definition.fallback_model ?? null,
  showReasoning: definition.show_reasoning ?? false,
  tools: definition.tools ?? [],
  maxSteps: definition.max_steps ?? MOST_STEPS,
  actionSeconds: definition.action_seconds ?? WAIT_FOR_PERSON_SECONDS,
  ageSeconds: row.ageSeconds,
  waitedSeconds: row.waitedSeconds,
  steps: row.steps ?? [],
  hadText: row.hadText,
  takenOver: row.takenOver,
  contextTokens: row.contextTokens,
  contextVersion: row.contextVersion,
  windowFromSeq: row.windowFromSeq,
  summary: definition.compaction === 'summary' ? row.summary : null,
  history: row.history,
  historyIsCut: row.historyIsCut,
});

/**
 * Begins the next attempt at those jobs of `lost` whose last attempt was lost. If there are none, it begins attempts at due jobs, in the
 * order of rounds. It claims at most `most` jobs, and at most {@link CLAIMED_AT_ONCE}, and passes over `withheld` jobs.
 *
 * @param options.order `fair`: by rounds. `oldest`: the one job that has waited longest
 * @param options.uptimeSeconds how long the worker has been running
 */
export async function claim(
  manager: EntityManager,
  options: {
    most: number;
    definitions?: Definitions;
    lost?: readonly string[];
    order?: 'fair' | 'oldest';
    withheld?: Withheld;
    uptimeSeconds?: number;
  },
): Promise<Claimed> {
  const { most, definitions = new Definitions(), lost = [], order = 'fair', withheld, uptimeSeconds = 0 } = options;
  const { fair, oldest } = withheld === undefined ? ALL : NOT_WITHHELD_ONES;
  const text = order === 'oldest' ? oldest : fair[Math.min(most, CLAIMED_AT_ONCE) - 1];
  if (text === undefined) return { jobs: [], more: true };
  const values = { lost, uptimeSeconds, models: withheld?.models, assistants: withheld?.assistants };
  return claimBy(manager, text, values, definitions);
}

/** Jobs that may probe whether the model is back. */
export interface Probing extends Only {
  readonly withheld: Withheld;
  readonly definitions: Definitions;
  /** Only a job that was never tried. */
  readonly afresh: boolean;
  /** Jobs whose attempts run here. They are not lost even if their leases have run out. */
  readonly run: readonly string[];
  /** How long the worker has been running. */
  readonly uptimeSeconds?: number;
}

/**
 * Begins an attempt that probes whether the model is back. It chooses a due job with as few attempts as possible. A job whose attempt was
 * lost comes first, since no other claim takes it over.
 */
export async function claimProbe(manager: EntityManager, probing: Probing): Promise<ClaimedJob | undefined> {
  const { run, withheld, definitions, model = null, assistant = null, afresh, uptimeSeconds = 0 } = probing;
  const { models, assistants } = withheld;
  const values = { models, assistants, run, model, assistant, afresh, uptimeSeconds };
  return (await claimBy(manager, PROBE, values, definitions)).jobs[0];
}
