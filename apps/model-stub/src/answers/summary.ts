import { isObject } from '../is-object.js';

/** The most characters of a summary, and of a quotation in it. */
const LONGEST = 1_200;
const QUOTED = 60;

const MARK = '[Stand-in model] Summary. The user said:';

/**
 * A summary of a conversation that comes as lines of JSON, each a message with its role: what the earlier summary says, and the beginnings
 * of what the user said. @returns undefined: the text is no such conversation
 */
export function summaryOf(text: string): string | undefined {
  const lines = text.split('\n').map(read);
  const said = lines.flatMap(({ role, text: words }) => (role === 'user' && typeof words === 'string' ? [words] : []));
  if (said.length === 0) return undefined;
  const earlier = lines.find(({ earlier_summary: words }) => typeof words === 'string')?.['earlier_summary'];
  const begin = typeof earlier === 'string' ? earlier : MARK;
  return said.reduce((summary, words) => {
    const more = `${summary} “${words.replace(/\s+/gu, ' ').slice(0, QUOTED).toWellFormed()}”`;
    return more.length > LONGEST ? summary : more;
  }, begin);
}

/** The object in a line; empty: there is none. */
function read(line: string): Record<string, unknown> {
  if (!line.startsWith('{')) return {};
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
