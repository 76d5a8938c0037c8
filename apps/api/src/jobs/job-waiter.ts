import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { JobFeed } from '#feed/job-feed.js';
import { isAtRest } from '#jobs/states.js';

/** Lets requests wait for jobs. */
@Injectable()
export class JobWaiter implements BeforeApplicationShutdown {
  private readonly releases = new Set<() => void>();
  /** How many requests of each user wait here. */
  private readonly waiting = new Map<string, number>();
  private closing = false;

  /** @param most how many requests of one user may wait in this process; undefined: any number */
  constructor(
    private readonly feed: JobFeed,
    private readonly most: number | undefined,
  ) {}

  /**
   * Takes one of the user's places for waiting requests. A wait is only a preference (RFC 7240, section 2), so a request without a place is
   * answered at once. @returns gives the place back; undefined: no place is free
   */
  enter(userId: string): (() => void) | undefined {
    const waiting = this.waiting.get(userId) ?? 0;
    if (this.most !== undefined && waiting >= this.most) return undefined;
    this.waiting.set(userId, waiting + 1);
    return () => {
      const rest = (this.waiting.get(userId) ?? 1) - 1;
      if (rest > 0) this.waiting.set(userId, rest);
      else this.waiting.delete(userId);
    };
  }

  /**
   * Watches a job from now on. Open the watch before reading the job's state or making the job, so that no change is missed, and close it
   * afterwards. `untilTheEnd`: the watch goes on when the process stops; use it for short waits only.
   */
  watch(jobId: string, { untilTheEnd = false } = {}): JobWatch {
    return untilTheEnd
      ? new JobWatch(jobId, this.feed, new Set(), () => false)
      : new JobWatch(jobId, this.feed, this.releases, () => this.closing);
  }

  /** Ends all waits, so that each request is answered with the job as it is. The clients then poll. */
  beforeApplicationShutdown(): void {
    this.closing = true;
    for (const release of [...this.releases]) release();
  }
}

export class JobWatch {
  private readonly unsubscribe: () => void;
  private wake: (() => void) | undefined;
  private changed = false;

  constructor(
    jobId: string,
    feed: JobFeed,
    private readonly releases: Set<() => void>,
    private readonly closing: () => boolean,
  ) {
    this.unsubscribe = feed.subscribe(jobId, (status) => {
      if (status !== undefined && !isAtRest(status)) return;
      this.changed = true;
      this.wake?.();
    });
  }

  /**
   * Waits until the job may be final or wait for a person, at most until `deadline` (milliseconds since the epoch). @returns false when the time is up, the
   * client has left, or the process stops
   */
  async untilMaybeAtRest(deadline: number, left: AbortSignal): Promise<boolean> {
    if (!this.changed) {
      const waitMs = deadline - Date.now();
      if (waitMs <= 0 || left.aborted || this.closing()) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, waitMs);
        const { releases } = this;
        const detach = (): void => {
          clearTimeout(timer);
          left.removeEventListener('abort', done);
          releases.delete(done);
          this.wake = undefined;
        };
        function done(): void {
          detach();
          resolve();
        }
        this.wake = done;
        left.addEventListener('abort', done);
        releases.add(done);
      });
    }
    const { changed } = this;
    this.changed = false;
    return changed;
  }

  close(): void {
    this.unsubscribe();
  }
}
