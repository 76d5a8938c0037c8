/*
 * Estimates of tokens that the model never reported. It reports all of its output only at the end, so a call that is canceled or breaks off
 * has no figure. The service pays for it all the same.
 */

/**
 * Bytes of text, in UTF-8, for one token. Today's models write between two and a half and four in European languages. The estimate uses the
 * smallest, so that no user gets past a limit.
 */
const BYTES_A_TOKEN = 2.5;

/** Tokens per second while a model thinks without showing it. Today's models write between 40 and 120. */
const THINKING_TOKENS_A_SECOND = 50;

/** Bytes of a request for one token, for a call that was given up before the model began to answer. */
const SENT_BYTES_A_TOKEN = 4;

/** SQL: the estimated tokens of a text expression. */
export const estimatedTokens = (text: string): string => `ceil(octet_length(${text}) / ${BYTES_A_TOKEN})::int`;

/**
 * The output of a call that broke off or was canceled, in tokens.
 * @param bytes text that arrived, in UTF-8
 * @param thinkingMs how long the model thought without showing it, in milliseconds
 * @param most output tokens that the call may have
 */
export function estimateOutput(bytes: number, thinkingMs: number, most: number): number {
  const thinking = (thinkingMs / 1_000) * THINKING_TOKENS_A_SECOND;
  return Math.min(most, Math.ceil(bytes / BYTES_A_TOKEN + thinking));
}

/** The tokens of a text in a prompt, at most, by its bytes in UTF-8. Few scripts have more. */
export function estimatePrompt(bytes: number): number {
  return bytes / BYTES_A_TOKEN;
}

/** The input of a call that the model never reported, in tokens, by the bytes that were sent. */
export function estimateInput(bytes: number): number {
  return Math.ceil(bytes / SENT_BYTES_A_TOKEN);
}
