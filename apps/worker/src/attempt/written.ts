import { setTimeout as sleep } from 'node:timers/promises';
import { isStoreAway } from '#errors/store-away.js';
import { LONGEST_WRITING_MS, WRITE_AGAIN_MS } from '#jobs/timings.js';

/**
 * Writes an attempt's result, and tries again while the database is away, so that an outage does not lose an answer that is paid for. If
 * the first write was committed and only its confirmation lost, the second one changes nothing.
 */
export async function written<T>(write: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + LONGEST_WRITING_MS;
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!isStoreAway(error) || Date.now() > deadline) throw error;
      await sleep(WRITE_AGAIN_MS);
    }
  }
}
