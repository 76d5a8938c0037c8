import { ApiError } from './errors.js';

/** The first pause between two tries, which doubles each time, and the longest; in milliseconds. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** The longest `Retry-After` that is obeyed, in milliseconds. */
export const LONGEST_ASKED_MS = 60_000;

/** The longest time of a timer, in milliseconds. Timers take a longer one for none at all. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The pause before the next try, in milliseconds. It is random, so that many clients do not come at once. */
export function retryDelay(tries: number, error?: unknown): number {
  const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
  return asked === undefined ? pause : Math.min(asked, LONGEST_ASKED_MS) + pause / 2;
}

/** `Retry-After` (RFC 9110, section 10.2.3) in milliseconds; undefined without one. */
export function retryAfterOf(headers: Headers): number | undefined {
  const header = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(ms, 0) : undefined;
}

/** A timer of at most the longest time. */
export function timer(done: () => void, ms: number): ReturnType<typeof setTimeout> {
  return setTimeout(done, Math.min(ms, LONGEST_TIMER_MS));
}

/** The result of `work`, or the signal's reason as soon as it aborts, even if the work ignores the signal. */
export async function orAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => (stop = () => reject(signal.reason)));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Resolves after `ms` milliseconds. @throws the signal's reason, as soon as it aborts */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(waiting);
      reject(signal?.reason);
    };
    const waiting = timer(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * A controller that also aborts when `signal` does, until it is let go. (`AbortSignal.any` does the same, but some Nodes collect its result
 * as garbage before it aborts.)
 */
export function linked(signal: AbortSignal | undefined): { controller: AbortController; letGo: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return { controller, letGo: () => signal?.removeEventListener('abort', abort) };
}
