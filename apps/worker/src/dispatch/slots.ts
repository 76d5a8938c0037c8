import { Waiters } from '#process/waiters.js';

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

  /** @param most attempts that may run at once */
  constructor(private readonly most: number) {}

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

  /** Stops every attempt. They hand their jobs back, and other workers take them at once. */
  stopAll(): void {
    for (const controller of this.taken.keys()) controller.abort();
  }

  /** Resolves when no attempt runs. */
  async idle(): Promise<void> {
    while (this.taken.size > 0) await Promise.all([...this.taken.values()].map(({ ended }) => ended));
  }
}
