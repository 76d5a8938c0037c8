/*
 * Statements and commands that processes send by the clock, even without turns. They are no part of a turn's cost. They are told apart by
 * their text, not by their share of the time, so a count is the same on a slow machine and on a fast one.
 *
 * All other statements count for the operation under way. So a new statement by the clock makes a count too high, never too low.
 *
 * BullMQ's worker waits for at most 5 s, and then sends what it also sends after a ticket. That is not listed here. It is not counted
 * either, because each ticket starts the wait anew, and counted operations follow each other faster.
 */

/** Statements, with single blanks for all white space. */
const STATEMENTS: readonly RegExp[] = [
  /^SET statement_timeout = \d+; DEALLOCATE ALL; SELECT pg_catalog\.set_config\(/, // a session's start
  // The check of the connection that listens.
  /^SELECT current_setting\('transaction_read_only'\) AS "readOnly"$/,
  /^SELECT pg_notify\(\$1, \$2\)$/,
  /^SELECT count\(\*\)::int AS unfinished FROM \(SELECT FROM jobs/, // the depth of the queue
  /\bUPDATE jobs(?: AS)?(?: \w)? SET lease_until = now\(\) \+/, // heartbeats
  /\bUPDATE jobs(?: AS)?(?: \w)? SET draft/, // drafts
  /^SELECT slug, model, max_output_tokens AS "maxOutputTokens", thinking, effort, show_reasoning AS "showReasoning" FROM assistants\b/, // the check of the models
  // The reconciler, in the order of its statements.
  /^SELECT (?:id )?FROM jobs WHERE status = '(?:queued|running)' AND (?:available_at|lease_until) < now\(\)/,
  /^WITH (?:expired|spent|undecided|orphan|due) AS/,
  /\bFROM receipts\b/,
  /\bFROM chats WHERE user_id IS NULL\b/,
  /^DELETE FROM (?:callers|draft_parts|idempotency_keys|spending|steps)\b/,
  /^DELETE FROM model_holds WHERE NOT \(/, // those of dead workers; a circuit that closes deletes one `WHERE scope =`, and that counts
  // BullMQ's timers.
  /^-- Two-phase stalled-job recovery/,
  /^-- Extend (?:a|the|several|many)? ?(?:job )?locks?\b/i,
];

/** Commands of Redis: checks, set-up, a new connection's first commands, BullMQ's timers. */
const COMMANDS: ReadonlySet<string> = new Set([
  'PING',
  'INFO',
  'CLIENT',
  'CONFIG',
  'HELLO',
  'AUTH',
  'SELECT',
  'moveStalledJobsToWait',
  'extendLock',
  'extendLocks',
]);

export const isBackgroundStatement = (text: string): boolean => STATEMENTS.some((one) => one.test(text));
export const isBackgroundCommand = (name: string): boolean => COMMANDS.has(name);
