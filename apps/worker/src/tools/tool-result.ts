/** The result of a call, as the model gets it. */
export interface ToolResult {
  /** Well-formed text without NUL, which PostgreSQL can store; never empty when a tool has answered. */
  readonly content: string;
  /** The call failed, and the content says why. */
  readonly isError: boolean;
}

/**
 * Makes a result of any text. A text longer than `maxBytes` bytes of UTF-8 is cut after a whole character, and its last line says so; that
 * line counts within `maxBytes`.
 *
 * @param isPart the text is only the beginning of a longer one, whose length is not known
 */
export function boundedResult(text: string, isError: boolean, maxBytes: number, isPart = false): ToolResult {
  const content = text.replaceAll('\0', '').toWellFormed();
  const bytes = Buffer.byteLength(content);
  if (bytes <= maxBytes && !isPart) return { content, isError };
  const line = `\n[This result was cut: it was ${isPart ? 'more than ' : ''}${bytes} bytes long.]`;
  return { content: (firstBytes(content, maxBytes - line.length) + line).slice(-maxBytes), isError };
}

/** The longest beginning of a well-formed text that takes at most `most` bytes of UTF-8. */
function firstBytes(text: string, most: number): string {
  const bytes = Buffer.from(text);
  let end = Math.max(0, Math.min(most, bytes.length));
  // Bytes 10xxxxxx continue a character.
  while (end > 0 && end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
