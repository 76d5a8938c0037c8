/*
 * The model's own words, for the log and for traces. A server that only resembles the Messages API may send any text there, even parts of
 * the request. A value of an unexpected shape is left out.
 */

const STOP_REASONS = new Set(['end_turn', 'max_tokens', 'stop_sequence', 'refusal', 'pause_turn', 'tool_use']);

export function knownStopReason(stopReason: string): string {
  return STOP_REASONS.has(stopReason) ? stopReason : 'other';
}

/** The name of a model or of an answer: one word. */
export function nameOf(value: string): string {
  return /^[\w.:/@-]{1,100}$/.test(value) ? value : 'other';
}
