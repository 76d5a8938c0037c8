/** A line that is nothing yet: a list, a rule, a heading, a row, a quote, or the first figures of a number. */
const MARKERS_ONLY = /^[\s>#=_+*~`|:[\].)\d-]*(?:\[[xX]\]?\s*)?$/;

const OPENS_FENCE = /^[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)*(`{3,}|~{3,})/;
const FENCE_ONLY = /^[\s>]*[`~]+\s*$/;
const ROW = /^\s*\|/;

/** What stands at the end of a line and may yet become part of a marker, a link, a character's name, or an address in angles. */
const OPEN_ENDS = [
  /!?\[[^\][\n]{0,200}\]?$/,
  /&#?\w{0,31}$/,
  /<[a-z/][^\s<>]{0,200}$/i,
  /(?<![*_~`\\!&<])[*_~`\\!&<]+$/,
];

/** A link whose address is being written: its words are all there. */
const IN_ADDRESS = /\]\([^()\s]*$/;
const IN_TITLE = /(\]\([^()\s]+)\s+(?:["'][^"'\n]*["']?)?$/;

/**
 * The beginning of a text that is still being written, without its last characters where what comes next decides what they are. What
 * is shown of it does not change when more comes.
 */
export function certain(text: string): string {
  const from = text.lastIndexOf('\n') + 1;
  const before = text.slice(0, from);
  const line = text.slice(from);
  if (isInFence(before)) return FENCE_ONLY.test(line) ? before : text;
  if (OPENS_FENCE.test(line) || MARKERS_ONLY.test(line)) return withoutTableHead(before);
  if (ROW.test(line) && linesOfTable(before) < 2) return withoutTableHead(before);
  if (IN_ADDRESS.test(line)) return `${text})`;
  if (IN_TITLE.test(line)) return `${before}${line.replace(IN_TITLE, '$1')})`;
  return before + OPEN_ENDS.reduce((rest, end) => rest.replace(end, ''), line);
}

/** The head of a table is one only with the line below it. */
function withoutTableHead(text: string): string {
  return linesOfTable(text) === 1 ? text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1) : text;
}

/** How many rows in a row stand at the end of whole lines. Only whether there are none, one, or more is of interest. */
function linesOfTable(text: string): number {
  const lines = text.split('\n').slice(-3, -1);
  return ROW.test(lines.at(-1) ?? '') ? (ROW.test(lines.at(-2) ?? '') ? 2 : 1) : 0;
}

/** Whether code between lines of backquotes or tildes is open at the end of whole lines. */
function isInFence(text: string): boolean {
  let open: string | undefined;
  for (const line of text.split('\n')) {
    const marker = OPENS_FENCE.exec(line)?.[1];
    if (open === undefined) open = marker;
    else if (marker?.startsWith(open) && FENCE_ONLY.test(line)) open = undefined;
  }
  return open !== undefined;
}
