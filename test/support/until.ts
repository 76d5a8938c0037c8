/** The next look comes after a fifth of the time waited so far, but within these bounds, in milliseconds. */
const SOONEST_MS = 10;
const LATEST_MS = 75;

/**
 * Repeats `look` until it returns something other than undefined or false, for at most `ms`. The default, a minute, only ends hanging
 * tests; a test of a shorter time passes that time. The longer it waits, the less often it looks: each look is a statement or a request,
 * which takes CPU from what the test waits for.
 */
export async function until<T>(look: () => Promise<T | undefined | false>, what: string, ms = 60_000): Promise<T> {
  const begun = Date.now();
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    const waited = Date.now() - begun;
    if (waited > ms) throw new Error(`Waited in vain for ${what}.`);
    const pause = Math.min(Math.max(waited / 5, SOONEST_MS), LATEST_MS);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
