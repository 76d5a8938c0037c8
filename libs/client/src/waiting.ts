import { ApiError } from './errors.js';

/** The first pause between two tries, doubled each time, and the longest; in milliseconds. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** Longest time that is waited because the service says so (`Retry-After`), in milliseconds. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** How long to wait before trying again, in milliseconds; spread, so that many clients do not come at once. */
export function retryDelay(tries: number, error?: unknown): number {
  const told = error instanceof ApiError ? error.retryAfterMs : undefined;
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
  return told === undefined ? pause : Math.min(told, LONGEST_RETRY_AFTER_MS) + pause / 2;
}

/** Resolves after so many milliseconds. @throws what `signal` says, as soon as it does */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
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
