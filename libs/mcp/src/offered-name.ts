import { createHash } from 'node:crypto';

/** Longest name of a tool for the model. */
const LONGEST = 64;

/** Hexadecimal digits that tell two long names apart. */
const DIGITS = 8;

/**
 * The name under which the model uses a server's tool: `<server>_<tool>`, in the letters that the Messages API accepts, at most 64. A longer
 * name is cut and ends with a digest of the whole name. Two tools whose names differ only in other characters get the same name.
 */
export function offeredName(server: string, tool: string): string {
  const whole = `${server}_${tool}`;
  const name = whole.replace(/[^a-zA-Z0-9_-]/g, '_');
  if (name.length <= LONGEST) return name;
  const digest = createHash('sha256').update(whole).digest('hex').slice(0, DIGITS);
  return `${name.slice(0, LONGEST - DIGITS - 1)}_${digest}`;
}
