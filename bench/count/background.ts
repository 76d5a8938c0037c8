/*
 * What processes say of their own accord, by the clock, and be there no turns at all. It is no part of what a turn costs, and is told
 * apart by what is said, not by a share of time: so a count is the same on a slow machine and a fast one.
 *
 * Whatever is not named here counts for the operation that is under way: something new by the clock shows as a count that is too high,
 * never as one that is too low.
 *
 * What BullMQ's worker does when it has waited in vain (every 5 s) says nothing else than after a ticket. It is not among these, and
 * is not counted either: each ticket begins the wait anew, and operations that are counted follow one another faster.
 */

/** Statements, their white space made one blank each. */
const STATEMENTS: readonly RegExp[] = [
  /^SET statement_timeout = \d+; DEALLOCATE ALL; SELECT pg_catalog\.set_config\(/, // a session begins
  // The connection that listens is tried.
  /^SELECT current_setting\('transaction_read_only'\) AS "readOnly"$/,
  /^SELECT pg_notify\(\$1, \$2\)$/,
  /^SELECT count\(\*\)::int AS unfinished FROM \(SELECT FROM jobs/, // how much there is to do, looked at once in a while
  /\bUPDATE jobs(?: AS)?(?: \w)? SET lease_until = now\(\) \+/, // heartbeats
  /\bUPDATE jobs(?: AS)?(?: \w)? SET draft/, // drafts
  /^SELECT slug, model, max_output_tokens AS "maxOutputTokens", thinking, effort FROM assistants\b/, // the check against the models
  // The reconciler, in the order in which it looks.
  /^SELECT (?:id )?FROM jobs WHERE status = '(?:queued|running)' AND (?:available_at|lease_until) < now\(\)/,
  /^WITH (?:expired|spent|orphan|due) AS/,
  /\bFROM receipts\b/,
  /\bFROM chats WHERE user_id IS NULL\b/,
  /^DELETE FROM (?:callers|idempotency_keys)\b/,
  /^DELETE FROM model_holds WHERE NOT \(/, // those of dead workers; a circuit that closes deletes one `WHERE scope =`, and that counts
  // BullMQ's timers.
  /^-- Two-phase stalled-job recovery/,
  /^-- Extend (?:a|the|several|many)? ?(?:job )?locks?\b/i,
];

/** Commands of Redis: tries, how it is set up, what is said of a new connection, BullMQ's timers. */
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
