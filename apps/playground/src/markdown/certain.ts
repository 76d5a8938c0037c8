/** A line that is not certain yet: it may become a list, a rule, a heading, a row, a quote, or a number. */
const MARKERS_ONLY = /^[\s>#=_+*~`|:[\].)\d-]*(?:\[[xX]\]?\s*)?$/;

const OPENS_FENCE = /^[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)*(`{3,}|~{3,})/;
const FENCE_ONLY = /^[\s>]*[`~]+\s*$/;
const ROW = /^\s*\|/;

/** Ends of a line that may still become part of a marker, a link, a character reference, or an address in angle brackets. */
const OPEN_ENDS = [
  /!?\[[^\][\n]{0,200}\]?$/,
  /&#?\w{0,31}$/,
  /<[a-z/][^\s<>]{0,200}$/i,
  /(?<![*_~`\\!&<])[*_~`\\!&<]+$/,
];

/** A link whose address is being written. Its words are complete. */
const IN_ADDRESS = /\]\([^()\s]*$/;
const IN_TITLE = /(\]\([^()\s]+)\s+(?:["'][^"'\n]*["']?)?$/;

/**
 * The beginning of an unfinished text, without the last characters whose meaning depends on what comes next. The part that is shown does
 * not change when more text comes.
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

/** The head of a table becomes one only with the line below it. */
function withoutTableHead(text: string): string {
  return linesOfTable(text) === 1 ? text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1) : text;
}

/** How many table rows stand at the end of whole lines. Only none, one, and more make a difference. */
function linesOfTable(text: string): number {
  const lines = text.split('\n').slice(-3, -1);
  return ROW.test(lines.at(-1) ?? '') ? (ROW.test(lines.at(-2) ?? '') ? 2 : 1) : 0;
}

/** A code fence is open at the end of whole lines. */
function isInFence(text: string): boolean {
  let open: string | undefined;
  for (const line of text.split('\n')) {
    const marker = OPENS_FENCE.exec(line)?.[1];
    if (open === undefined) open = marker;
    else if (marker?.startsWith(open) && FENCE_ONLY.test(line)) open = undefined;
  }
  return open !== undefined;
}
