/** Longest time that Node's timers know, in milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Calls `end` when a token ends, at `endsAt` (milliseconds since the epoch), or after 24 days if that is sooner. So no stream outlives its
 * token.
 * @returns a function that cancels the call
 */
export function whenTokenEnds(endsAt: number, end: () => void): () => void {
  const timer = setTimeout(end, Math.min(Math.max(0, endsAt - Date.now()), LONGEST_TIMER_MS)).unref();
  return () => clearTimeout(timer);
}
