/*
 * Tokens that the model never reported: it tells the whole of its output only at the end, and a call that is canceled or breaks off has
 * none. What was seen of it is paid for all the same.
 */

/**
 * Bytes of text, in UTF-8, that one token stands for. Today's models write between two and a half and four in European languages; the
 * least of them is taken, so that a limit cannot be walked around.
 */
const BYTES_A_TOKEN = 2.5;

/** Tokens a second of a model that thinks unseen. Today's models write between 40 and 120. */
const THINKING_TOKENS_A_SECOND = 50;

/** Bytes of what is sent that one token stands for: a call that was given up before the model began was read, but no more is known. */
const SENT_BYTES_A_TOKEN = 4;

/** SQL: the tokens that a text expression is estimated at. */
export const estimatedTokens = (text: string): string => `ceil(octet_length(${text}) / ${BYTES_A_TOKEN})::int`;

/**
 * The output of a call that was cut, in tokens.
 * @param bytes of text that came, in UTF-8
 * @param thinkingMs how long the model thought without showing it, in milliseconds
 * @param most what the call was allowed to put out, in tokens
 */
export function estimateOutput(bytes: number, thinkingMs: number, most: number): number {
  const thinking = (thinkingMs / 1_000) * THINKING_TOKENS_A_SECOND;
  return Math.min(most, Math.ceil(bytes / BYTES_A_TOKEN + thinking));
}

/** The input of a call that the model never reported, in tokens, by the bytes that were sent. */
export function estimateInput(bytes: number): number {
  return Math.ceil(bytes / SENT_BYTES_A_TOKEN);
}
