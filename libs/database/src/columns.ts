import type { Job } from './entities/job.entity.js';
import type { Message } from './entities/message.entity.js';

/*
 * Select lists for statements written by hand: each gives rows in the shape of its entity.
 * `t` is the table's alias in the statement.
 */

/**
 * A job without its draft, which may be long and is of use to hardly anybody, and without its place in line and what only its
 * worker needs.
 */
export type JobRow = Omit<Job, 'draft' | 'round' | 'traceparent' | 'freeAttempts'>;

export const jobColumns = (t: string): string => `
  ${t}.id, ${t}.type, ${t}.status, ${t}.chat_id AS "chatId", ${t}.user_id AS "userId",
  ${t}.user_message_id AS "userMessageId", ${t}.request_id AS "requestId", ${t}.attempts,
  ${t}.attempts_left AS "attemptsLeft", ${t}.available_at AS "availableAt", ${t}.lease_until AS "leaseUntil",
  ${t}.error_code AS "errorCode", ${t}.error_message AS "errorMessage",
  ${t}.created_at AS "createdAt", ${t}.requeued_at AS "requeuedAt", ${t}.started_at AS "startedAt",
  ${t}.finished_at AS "finishedAt"`;

/** A message; `prefix` goes before the names of its fields where a statement gives other things beside it (see {@link messageIn}). */
export const messageColumns = (t: string, prefix = ''): string =>
  Object.entries(MESSAGE_COLUMNS)
    .map(([field, column]) => `${t}.${column} AS "${prefix}${field}"`)
    .join(', ');

const MESSAGE_COLUMNS: Readonly<Record<keyof Message, string>> = {
  id: 'id',
  chatId: 'chat_id',
  seq: 'seq',
  role: 'role',
  content: 'content',
  status: 'status',
  metadata: 'metadata',
  jobId: 'job_id',
  model: 'model',
  stopReason: 'stop_reason',
  stopDetails: 'stop_details',
  leftOutBy: 'left_out_by',
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  usageEstimated: 'usage_estimated',
  createdAt: 'created_at',
};

/** Takes the message out of a row whose statement has {@link messageColumns} with this prefix; null where it joined none. */
export function messageIn(row: Record<string, unknown>, prefix: string): Message | null {
  if (row[`${prefix}id`] === null) return null;
  return Object.fromEntries(
    Object.keys(MESSAGE_COLUMNS).map((field) => [field, row[prefix + field]]),
  ) as unknown as Message;
}

/** A chat, for statements that name its table by `t`. */
export const chatColumns = (t: string): string => `
  ${t}.id, ${t}.user_id AS "userId", ${t}.released_from AS "releasedFrom", ${t}.assistant_slug AS "assistantSlug", ${t}.status,
  ${t}.title, ${t}.metadata, ${t}.last_seq AS "lastSeq", ${t}.created_at AS "createdAt", ${t}.updated_at AS "updatedAt",
  ${t}.last_message_at AS "lastMessageAt", (${unfinishedJob(t)}) AS "unfinishedJobId"`;

/**
 * SQL: a job is neither succeeded, failed nor canceled, for statements that look for that of a chat (`jobs_one_unfinished`), or for any. Not
 * by its status: whoever asks for one of them, `running` say, would be offered that index, too (see states.ts in libs/jobs).
 */
export const isUnfinished = (t: string): string => `${t}.finished_at IS NULL`;

/** The unfinished job of a chat, for the select list of a statement that reads it: there is one at most, by an index of their own. */
export const unfinishedJob = (chat: string): string =>
  `SELECT u.id FROM jobs u WHERE u.chat_id = ${chat}.id AND ${isUnfinished('u')}`;

/**
 * The moment of a chat's next message, for the row of `chats` that a statement holds locked. `now()` is the transaction's
 * beginning, which is before the wait for the lock: with it, messages would be dated against their order.
 */
export const NEXT_MOMENT = 'greatest(last_message_at, clock_timestamp())';
