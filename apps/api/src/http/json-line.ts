/** Line ends of Unicode that JSON leaves as they are: NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR. */
const OTHER_LINE_ENDS = /[\u0085\u2028\u2029]/;

/**
 * A value as JSON on one line, for all who read lines. JSON escapes CR, LF and the other controls (RFC 8259, section 7). These
 * three it need not: event streams and JSON lines do not end lines with them, but readers in other languages do, with what they
 * use for any text (Python's `splitlines`, and with it `iter_lines` of its HTTP clients).
 */
export function jsonLine(value: object): string {
  const json = JSON.stringify(value);
  // Three passes with nothing to call take half the time of one with a function, and of most lines there is none to take.
  if (!OTHER_LINE_ENDS.test(json)) return json;
  return json.replaceAll('\u0085', '\\u0085').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
