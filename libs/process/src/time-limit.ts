import { type LinkedSignal, linkedSignal } from './linked-signal.js';

/** A signal that aborts when its time is over, or with another signal. */
export interface TimeLimit extends LinkedSignal {
  /** Whether it was the time that ended it. */
  readonly late: boolean;
}

/**
 * Aborts after `ms` milliseconds with a `TimeoutError`, as `AbortSignal.timeout` does, or with the first of `sources`.
 *
 * The timer holds its controller, so no garbage collection can take the limit away. Node 20 keeps neither the signals given to
 * `AbortSignal.any` nor that of a `Request` which was made with `AbortSignal.timeout`; then nothing ends what they should end.
 *
 * The timer keeps no process alive, and lets go of the sources when it fires. The caller may call `release` before that.
 */
export function timeLimit(ms: number, ...sources: readonly AbortSignal[]): TimeLimit {
  const own = new AbortController();
  const linked = linkedSignal(own.signal, ...sources);
  const timer = setTimeout(() => {
    own.abort(new DOMException('The time limit was reached.', 'TimeoutError'));
    linked.release();
  }, ms).unref();
  return {
    signal: linked.signal,
    get late() {
      return own.signal.aborted && linked.signal.reason === own.signal.reason;
    },
    release: () => {
      clearTimeout(timer);
      linked.release();
    },
  };
}
