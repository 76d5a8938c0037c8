/** Longest time that Node's timers know, in milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Calls `end` in the moment in which a token ends, `endsAt` (milliseconds since the epoch), or after 24 days if that is sooner:
 * nothing that was begun with a token goes on without it.
 * @returns takes that back
 */
export function whenTokenEnds(endsAt: number, end: () => void): () => void {
  const timer = setTimeout(end, Math.min(Math.max(0, endsAt - Date.now()), LONGEST_TIMER_MS)).unref();
  return () => clearTimeout(timer);
}
