import { HAND_BACK_IN_LAST, HAND_BACK_OVER_MS } from '#jobs/timings.js';
import { Waiters } from '#process/waiters.js';

/** The attempt hands its job back, and another worker takes it. */
const stop = (attempt: AbortController): void => attempt.abort();

interface Taken {
  readonly jobId: string;
  /** Resolves when the whole attempt is done. */
  readonly ended: Promise<unknown>;
}

/** The attempts that this process runs, and how many more it may run. */
export class Slots {
  /** Each attempt, by the controller that stops it. */
  private readonly taken = new Map<AbortController, Taken>();
  private readonly waiters = new Waiters();

  constructor(
    /** Attempts that may run at once. */
    private readonly most: number,
    /** How long attempts may go on once the process stops, in milliseconds. */
    readonly drainMs = 0,
  ) {}

  /** How many more attempts may begin. */
  get room(): number {
    return this.most - this.taken.size;
  }

  /** Whether an attempt at this job runs here. */
  runs(jobId: string): boolean {
    return [...this.taken.values()].some((attempt) => attempt.jobId === jobId);
  }

  /** The jobs of the attempts that run here. */
  get running(): string[] {
    return [...this.taken.values()].map(({ jobId }) => jobId);
  }

  /**
   * Takes a slot for an attempt at a job until it has ended. `stop` aborts when the attempt must stop; the attempt must not reject.
   * @returns the attempt's result, once its slot is free again
   */
  take<T>(jobId: string, attempt: (stop: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const ended = attempt(controller.signal).finally(() => {
      this.taken.delete(controller);
      this.waiters.wakeAll();
    });
    this.taken.set(controller, { jobId, ended });
    return ended;
  }

  /** Waits until an attempt has ended, or `stop` aborts. */
  freed(stop: AbortSignal): Promise<void> {
    return this.waiters.wait(stop);
  }

  /**
   * Lets attempts go on for `drainMs` when the process stops. In the last part of that time the remaining ones are stopped one after the
   * other, the youngest first.
   * @returns a function that stops all attempts at once
   */
  drain(): () => void {
    const ms = this.drainMs;
    const over = Math.min(ms * HAND_BACK_IN_LAST, HAND_BACK_OVER_MS);
    const deadline = performance.now() + ms;
    let timer = setTimeout(() => step(), ms - over);
    const step = (): void => {
      const left = this.notStopped();
      if (performance.now() >= deadline) return left.forEach(stop);
      // The remaining time is shared equally, so the last attempt runs until the deadline.
      const share = Math.max(0, deadline - performance.now()) / Math.max(1, left.length);
      timer = setTimeout(() => {
        this.notStopped().slice(-1).forEach(stop);
        step();
      }, share);
    };
    return () => {
      clearTimeout(timer);
      this.notStopped().forEach(stop);
    };
  }

  /** The attempts that were not stopped, in the order of their beginning. */
  private notStopped(): AbortController[] {
    return [...this.taken.keys()].filter(({ signal }) => !signal.aborted);
  }

  /** Resolves when no attempt runs. */
  async idle(): Promise<void> {
    while (this.taken.size > 0) await Promise.all([...this.taken.values()].map(({ ended }) => ended));
  }
}
