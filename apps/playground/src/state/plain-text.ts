/*
 * Text of strangers, made safe to look at. Control characters would be invisible, and marks that turn the direction of writing would show
 * other text than the one that counts; so both are shown by their names. Letters of any script stay.
 */

/** The longest text that is shown, in UTF-16 code units. Layout of more would make the page slow. */
export const LONGEST_SHOWN = 100_000;

/** The deepest JSON that is indented. Indents of deeper JSON would take more room than its text. */
const DEEPEST = 60;

/** Control characters but tab and line feed, and what turns the direction: embeddings, overrides and isolates. */
const ODD = /[\0-\x08\x0B-\x1F\x7F-\x9F\u2028\u2029\u202A-\u202E\u2066-\u2069\uFFF9-\uFFFB]/g; // eslint-disable-line no-control-regex

/** The text with its odd characters by name: U+202E becomes `⟨U+202E⟩`. */
export function visible(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(ODD, (one) => `⟨U+${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}

/** The same on one line, for a name within a sentence. A longer text ends in an ellipsis. */
export function visibleLine(text: string, longest = 80): string {
  const line = visible(text.slice(0, longest + 1))
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > longest ? `${line}…` : line;
}

/** A value as JSON, indented unless it is too deep. */
export function jsonOf(value: unknown): string {
  try {
    const flat = JSON.stringify(value) ?? '';
    return flat.length <= LONGEST_SHOWN && depthOf(flat) <= DEEPEST ? (JSON.stringify(value, null, 2) ?? '') : flat;
  } catch {
    return 'It is too deep to be shown.';
  }
}

/** A text; if it is JSON, indented. JSON that would lose something, such as digits of a long number, stays as it is. */
export function prettyText(text: string): string {
  if (!/^[[{]/.test(text) || text.length > LONGEST_SHOWN || depthOf(text) > DEEPEST) return text;
  try {
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value) === text ? jsonOf(value) : text;
  } catch {
    return text;
  }
}

/** How deep brackets are nested. It also counts those in strings, so it may say more. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (const one of text) {
    if (one === '{' || one === '[') deepest = Math.max(deepest, ++depth);
    else if (one === '}' || one === ']') depth--;
  }
  return deepest;
}
