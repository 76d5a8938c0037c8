/** The model's call of a tool. */
export interface ToolCallRequest {
  readonly callId: string;
  readonly userId: string;
  readonly chatId: string;
  readonly jobId: string;
  readonly assistant: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly traceparent: string | null;
}

/** What the model gets. */
export interface ToolResult {
  readonly content: string;
  readonly isError: boolean;
}

/** A result of at most `maxBytes` bytes of UTF-8. A longer text is cut, and says so. */
export function boundedResult(text: string, isError: boolean, maxBytes: number): ToolResult {
  const bytes = Buffer.from(text);
  if (bytes.byteLength <= maxBytes) return { content: text, isError };
  const note = '\n[The rest is left out: the result is too long.]';
  let end = Math.max(0, maxBytes - Buffer.byteLength(note));
  // Not within a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return { content: bytes.subarray(0, end).toString() + note, isError };
}
