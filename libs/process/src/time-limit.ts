import { type LinkedSignal, linkedSignal } from './linked-signal.js';

/** A signal that aborts when its time is over, or with another signal. */
export interface TimeLimit extends LinkedSignal {
  /** Whether the time ended the call. */
  readonly late: boolean;
}

/**
 * Aborts after `ms` milliseconds with a `TimeoutError`, as `AbortSignal.timeout` does, or with the first of `sources`.
 *
 * The timer holds its controller, so no garbage collection can take the limit away. Node 20 keeps neither the signals given to
 * `AbortSignal.any` nor the signal of a `Request` made with `AbortSignal.timeout`. Then nothing ends the calls that these signals should
 * end.
 *
 * The timer keeps no process alive, and releases the sources when it fires. The caller may call `release` before that.
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
