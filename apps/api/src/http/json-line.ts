/** Line ends of Unicode that JSON leaves as they are: NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR. */
const OTHER_LINE_ENDS = /[\u0085\u2028\u2029]/g;

/**
 * A value as JSON on one line, for all who read lines. JSON escapes CR, LF and the other controls (RFC 8259, section 7). These
 * three it need not: event streams and JSON lines do not end lines with them, but readers in other languages do, with what they
 * use for any text (Python's `splitlines`, and with it `iter_lines` of its HTTP clients).
 */
export function jsonLine(value: object): string {
  const json = JSON.stringify(value);
  return json.replace(OTHER_LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
