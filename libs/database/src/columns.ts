import type { Job } from './entities/job.entity.js';
import type { Message } from './entities/message.entity.js';

/* Select lists for hand-written statements. Each gives rows in the shape of its entity. `t` is the table's alias in the statement. */

/** A job without its draft (often long, rarely needed), its round, its reserve, and fields that only its worker needs. */
export type JobRow = Omit<
  Job,
  | 'draft'
  | 'kept'
  | 'round'
  | 'windowFromSeq'
  | 'traceparent'
  | 'freeAttempts'
  | 'leftToWorkersSince'
  | 'reservedTokens'
  | 'reservedCost'
  | 'budgetOf'
>;

export const jobColumns = (t: string): string => `
  ${t}.id, ${t}.type, ${t}.status, ${t}.chat_id AS "chatId", ${t}.user_id AS "userId",
  ${t}.assistant_version AS "assistantVersion", ${t}.user_message_id AS "userMessageId", ${t}.request_id AS "requestId", ${t}.attempts,
  ${t}.attempts_left AS "attemptsLeft", ${t}.available_at AS "availableAt", ${t}.lease_until AS "leaseUntil",
  ${t}.error_code AS "errorCode", ${t}.error_message AS "errorMessage",
  ${t}.created_at AS "createdAt", ${t}.requeued_at AS "requeuedAt", ${t}.started_at AS "startedAt",
  ${t}.finished_at AS "finishedAt", ${t}.step, ${t}.action_since AS "actionSince", ${t}.action_expires_at AS "actionExpiresAt",
  ${t}.waited_seconds AS "waitedSeconds"`;

export type MessageRow = Message;

/** A message. `prefix` stands before the names of its fields if the statement also gives other rows (see {@link messageIn}). */
export const messageColumns = (t: string, prefix = ''): string =>
  Object.entries(MESSAGE_COLUMNS)
    .map(([field, column]) => `${t}.${column} AS "${prefix}${field}"`)
    .join(', ');

const MESSAGE_COLUMNS: Readonly<Record<keyof MessageRow, string>> = {
  id: 'id',
  chatId: 'chat_id',
  seq: 'seq',
  role: 'role',
  content: 'content',
  parts: 'parts',
  status: 'status',
  metadata: 'metadata',
  jobId: 'job_id',
  model: 'model',
  assistantVersion: 'assistant_version',
  stopReason: 'stop_reason',
  stopDetails: 'stop_details',
  leftOutBy: 'left_out_by',
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  cacheReadTokens: 'cache_read_tokens',
  cacheWriteTokens: 'cache_write_tokens',
  thinkingTokens: 'thinking_tokens',
  cost: 'cost',
  usageEstimated: 'usage_estimated',
  createdAt: 'created_at',
};

/** SQL: about how many bytes a message `t` takes. PostgreSQL knows the size of a text without reading it; most messages have no parts. */
export const messageBytes = (t: string): string =>
  `(octet_length(${t}.content) + coalesce(octet_length(${t}.parts::text), 0))`;

/** Takes the message out of a row of a statement that has {@link messageColumns} with this prefix; null: it joined none. */
export function messageIn(row: Record<string, unknown>, prefix: string): MessageRow | null {
  if (row[`${prefix}id`] === null) return null;
  return Object.fromEntries(
    Object.keys(MESSAGE_COLUMNS).map((field) => [field, row[prefix + field]]),
  ) as unknown as MessageRow;
}

/** A chat, for statements whose table has the alias `t`. */
export const chatColumns = (t: string): string => `
  ${t}.id, ${t}.user_id AS "userId", ${t}.released_from AS "releasedFrom", ${t}.assistant_slug AS "assistantSlug", ${t}.status,
  ${t}.title, ${t}.metadata, ${t}.last_seq AS "lastSeq", ${t}.created_at AS "createdAt", ${t}.updated_at AS "updatedAt",
  ${t}.last_message_at AS "lastMessageAt", (${unfinishedJob(t)}) AS "unfinishedJobId"`;

/**
 * SQL: a job is unfinished, for statements that look for a chat's unfinished job (`jobs_one_unfinished`), or for any. It does not name the
 * status: otherwise a statement that looks for `running` jobs, say, could use this index, too (see states.ts in libs/jobs).
 */
export const isUnfinished = (t: string): string => `${t}.finished_at IS NULL`;

/** SQL: a job is unfinished, for statements that look for jobs of one user (`jobs_of_user`). */
export const unfinishedOfUser = (t: string): string =>
  `(${t}.status || ' user') IN ('queued user', 'running user', 'requires_action user')`;

/** SQL: a job is unfinished, for statements that look for jobs of one assistant's budget (`jobs_of_budget`). */
export const unfinishedOfBudget = (t: string): string =>
  `(${t}.status || ' budget') IN ('queued budget', 'running budget', 'requires_action budget')`;

/** The unfinished job of a chat, for the select list of a statement that reads the chat. The index allows at most one. */
export const unfinishedJob = (chat: string): string =>
  `SELECT u.id FROM jobs u WHERE u.chat_id = ${chat}.id AND ${isUnfinished('u')}`;

/**
 * The time of a chat's next message, for a row of `chats` that the statement has locked. `now()` would be the transaction's beginning,
 * before the wait for the lock, so a later message could have an earlier time.
 */
export const NEXT_MOMENT = 'greatest(last_message_at, clock_timestamp())';
