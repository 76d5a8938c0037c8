import { HAND_BACK_IN_LAST, HAND_BACK_OVER_MS } from '#jobs/timings.js';
import { Waiters } from '#process/waiters.js';

/** The attempt hands its job back, and another worker takes it. */
const stop = (attempt: AbortController): void => attempt.abort();

interface Taken {
  readonly jobId: string;
  /** Resolves when all of the attempt is done. */
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
    /** How long attempts may go on once the process is told to stop, in milliseconds. */
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
   * Takes a slot for an attempt at a job until it has ended. `stop` aborts when the attempt has to stop; the attempt must not reject.
   * @returns what the attempt comes to, once its slot is free again
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

  /** Waits until an attempt has ended, or `stop`. */
  freed(stop: AbortSignal): Promise<void> {
    return this.waiters.wait(stop);
  }

  /**
   * The process is told to stop, and attempts may go on for `drainMs`. In the last part of that time those that are left are
   * stopped one after the other, the youngest first.
   * @returns what stops every attempt at once
   */
  drain(): () => void {
    const ms = this.drainMs;
    const over = Math.min(ms * HAND_BACK_IN_LAST, HAND_BACK_OVER_MS);
    const deadline = performance.now() + ms;
    let timer = setTimeout(() => step(), ms - over);
    const step = (): void => {
      const left = this.notStopped();
      if (performance.now() >= deadline) return left.forEach(stop);
      // Each has an equal share of the time that is left; the last one has all of it.
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

  /** In the order they were begun. */
  private notStopped(): AbortController[] {
    return [...this.taken.keys()].filter(({ signal }) => !signal.aborted);
  }

  /** Resolves when no attempt runs. */
  async idle(): Promise<void> {
    while (this.taken.size > 0) await Promise.all([...this.taken.values()].map(({ ended }) => ended));
  }
}
