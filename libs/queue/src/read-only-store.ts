import { READ_ONLY_STATE } from '#database/read-only.js';

/** A replica's answer to a command that would write begins like this. */
const READ_ONLY_ANSWER = /^(READONLY|MASTERDOWN)\b/;

/** Whether a store refused to write because it only reads: a standby or a replica. */
export function isReadOnly(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return code === READ_ONLY_STATE || (typeof message === 'string' && READ_ONLY_ANSWER.test(message));
}
