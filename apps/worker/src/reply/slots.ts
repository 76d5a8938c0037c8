import { Waiters } from '#process/waiters.js';

/** Why an attempt is stopped by the process. */
export const SHUTDOWN = 'shutdown';

interface Taken {
  readonly jobId: string;
  /** Resolves when all of the attempt is done. */
  readonly ended: Promise<void>;
}

/** The attempts that this process runs: so many at once at most. */
export class Slots {
  /** Each with what stops it. */
  private readonly taken = new Map<AbortController, Taken>();
  private readonly waiters = new Waiters();

  constructor(private readonly most: number) {}

  /** So many attempts may be begun. */
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

  /** Takes a slot for an attempt at a job until it has ended; it is told by the controller when it is to stop, and must not reject. */
  take(jobId: string, attempt: (controller: AbortController) => Promise<void>): void {
    const controller = new AbortController();
    const ended = attempt(controller).finally(() => {
      this.taken.delete(controller);
      this.waiters.wakeAll();
    });
    this.taken.set(controller, { jobId, ended });
  }

  /** Waits until an attempt has ended, or `stop`. */
  freed(stop: AbortSignal): Promise<void> {
    return this.waiters.wait(stop);
  }

  /** Stops every attempt: the jobs are put back, for other workers to take at once. */
  stopAll(): void {
    for (const controller of this.taken.keys()) controller.abort(SHUTDOWN);
  }

  /** Resolves when no attempt runs. */
  async idle(): Promise<void> {
    while (this.taken.size > 0) await Promise.all([...this.taken.values()].map(({ ended }) => ended));
  }
}
