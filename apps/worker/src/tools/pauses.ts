import { setTimeout as sleep } from 'node:timers/promises';

/** How long to wait before the second and the third try, in milliseconds. */
export const PAUSES_MS: readonly number[] = [500, 2_000];

/** Each pause is by up to this part longer or shorter, so that calls that failed together do not come back together. */
const JITTER = 0.25;

/** The longest `Retry-After` that is waited for, in milliseconds. */
const LONGEST_MS = 10_000;

/**
 * How long to wait before the next try, in milliseconds: as long as `Retry-After` says, else about `pauseMs`.
 *
 * @param retryAfter the header's value: seconds or a date
 * @returns undefined if the server wants a longer wait than a call can have
 */
export function pauseBefore(pauseMs: number, retryAfter: string | undefined, now = Date.now()): number | undefined {
  const asked = retryAfter === undefined ? NaN : askedMs(retryAfter.trim(), now);
  if (Number.isNaN(asked)) return pauseMs * (1 - JITTER + 2 * JITTER * Math.random());
  return asked <= LONGEST_MS ? Math.max(0, asked) : undefined;
}

/** Waits. @throws the signal's reason if it aborts */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

function askedMs(retryAfter: string, now: number): number {
  return /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1_000 : Date.parse(retryAfter) - now;
}
