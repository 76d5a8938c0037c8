import { ApiError } from './errors.js';

/** The first pause between two tries, doubled each time, and the longest; in milliseconds. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** Longest time that is waited because the service says so, in milliseconds. */
export const LONGEST_TOLD_MS = 60_000;

/** Longest time that timers know, in milliseconds: what is longer, they take for none at all. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** How long to wait before trying again, in milliseconds; spread, so that many clients do not come at once. */
export function retryDelay(tries: number, error?: unknown): number {
  const told = error instanceof ApiError ? error.retryAfterMs : undefined;
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
  return told === undefined ? pause : Math.min(told, LONGEST_TOLD_MS) + pause / 2;
}

/** What `Retry-After` says (RFC 9110, section 10.2.3), in milliseconds; undefined when it says nothing. */
export function retryAfterOf(headers: Headers): number | undefined {
  const said = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(said) ? Number(said) * 1_000 : Date.parse(said) - Date.now();
  return Number.isFinite(ms) ? Math.max(ms, 0) : undefined;
}

/** A timer, as long as it may be. */
export function timer(done: () => void, ms: number): ReturnType<typeof setTimeout> {
  return setTimeout(done, Math.min(ms, LONGEST_TIMER_MS));
}

/** What `work` comes to, or at once what `signal` says, though the work does not listen to it. */
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

/** Resolves after so many milliseconds. @throws what `signal` says, as soon as it does */
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
 * A controller that aborts when `signal` does, too, until it is let go. (`AbortSignal.any` does this, but there are Nodes on
 * which what it made is collected as garbage before it says anything.)
 */
export function linked(signal: AbortSignal | undefined): { controller: AbortController; letGo: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return { controller, letGo: () => signal?.removeEventListener('abort', abort) };
}
