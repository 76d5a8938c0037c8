/** Line ends of Unicode that JSON leaves as they are: NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR. */
const OTHER_LINE_ENDS = /[\u0085\u2028\u2029]/;

/**
 * A value as JSON on one line, also for readers that split text at any line end. JSON escapes CR, LF and the other controls (RFC 8259,
 * section 7) and need not escape these three. Event streams and JSON lines do not end lines with them, but readers in other languages use
 * what splits any text (Python's `splitlines`, and with it `iter_lines` of its HTTP clients).
 */
export function jsonLine(value: object): string {
  const json = JSON.stringify(value);
  // Three passes without a function take half the time of one with it, and most lines need none.
  if (!OTHER_LINE_ENDS.test(json)) return json;
  return json.replaceAll('\u0085', '\\u0085').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
