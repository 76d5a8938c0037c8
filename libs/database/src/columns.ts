import type { Job } from './entities/job.entity.js';

/*
 * Select lists for statements written by hand: each gives rows in the shape of its entity.
 * `t` is the table's alias in the statement.
 */

/**
 * A job without its draft, which may be long and is of use to hardly anybody, and without its place in line and what only its
 * worker needs.
 */
export type JobRow = Omit<Job, 'draft' | 'round' | 'traceparent'>;

export const jobColumns = (t: string): string => `
  ${t}.id, ${t}.type, ${t}.status, ${t}.chat_id AS "chatId", ${t}.user_id AS "userId",
  ${t}.user_message_id AS "userMessageId", ${t}.request_id AS "requestId", ${t}.attempts,
  ${t}.attempts_left AS "attemptsLeft", ${t}.available_at AS "availableAt", ${t}.lease_until AS "leaseUntil",
  ${t}.error_code AS "errorCode", ${t}.error_message AS "errorMessage",
  ${t}.created_at AS "createdAt", ${t}.requeued_at AS "requeuedAt", ${t}.started_at AS "startedAt",
  ${t}.finished_at AS "finishedAt"`;

export const messageColumns = (t: string): string => `
  ${t}.id, ${t}.chat_id AS "chatId", ${t}.seq, ${t}.role, ${t}.content, ${t}.status, ${t}.metadata,
  ${t}.job_id AS "jobId", ${t}.model, ${t}.stop_reason AS "stopReason",
  ${t}.input_tokens AS "inputTokens", ${t}.output_tokens AS "outputTokens", ${t}.created_at AS "createdAt"`;

/** The unfinished job of a chat, for the select list of a statement that reads it: there is one at most, by an index of their own. */
export const unfinishedJob = (chat: string): string =>
  `SELECT u.id FROM jobs u WHERE u.chat_id = ${chat}.id AND u.status IN ('queued', 'running')`;

/**
 * The moment of a chat's next message, for the row of `chats` that a statement holds locked. `now()` is the transaction's
 * beginning, which is before the wait for the lock: with it, messages would be dated against their order.
 */
export const NEXT_MOMENT = 'greatest(last_message_at, clock_timestamp())';
