/**
 * Looks again and again until `look` gives something other than undefined or false; for `ms` at the longest. That is a minute,
 * for what hangs: what must be quicker says so.
 */
export async function until<T>(look: () => Promise<T | undefined | false>, what: string, ms = 60_000): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
