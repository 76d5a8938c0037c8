import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { JobFeed } from '#feed/job-feed.js';
import { within } from '#process/within.js';
import { Doorbell } from '#queue/doorbell.js';

/** For how long an unanswered call keeps others from being made, in milliseconds: twice as long after each that was not answered. */
const UNANSWERED_MS = 100;
const LONGEST_UNANSWERED_MS = 400;

/** A job that nobody was called for in this time, in milliseconds, is left to the calls that were made, and to the reconciler. */
const LEFT_ALONE_MS = 1_000;

interface Due {
  readonly jobId: string;
  readonly attempt: number;
  readonly since: number;
  /** To be called when somebody has begun it, or it has ended. */
  readonly heard: () => void;
  /** The same for the one that somebody was called for. */
  answered?: () => void;
}

/**
 * Calls workers to jobs that this process has accepted. It never waits, and no request waits for it.
 *
 * One call at a time is on its way: until the job that it was made for is heard to run, no other is made, and by then others may be
 * running that came meanwhile, as whoever comes takes all that is due. A lone turn is rung for at once; under load many turns share a
 * call, and most need none. While all workers are full, calls become rare: one waits for whoever has room first.
 */
@Injectable()
export class DueJobs implements BeforeApplicationShutdown {
  /** Those that nobody was called for, in the order they came. */
  private readonly waiting = new Map<string, Due>();
  private calling = false;
  private closing = false;
  private patienceMs = UNANSWERED_MS;

  constructor(
    private readonly feed: JobFeed,
    private readonly doorbell: Doorbell,
  ) {}

  /** A job's next attempt is due; by now it is committed. */
  add(jobId: string, attempt = 1): void {
    if (this.waiting.has(jobId)) return;
    if (this.closing) return void this.doorbell.ring(jobId, attempt);
    const unfollow = this.feed.follow(jobId, (status) => {
      if (status === undefined) due.answered?.();
      else if (status !== 'queued') due.heard();
    });
    const due: Due = {
      jobId,
      attempt,
      since: performance.now(),
      heard: () => {
        unfollow();
        this.waiting.delete(jobId);
        due.answered?.();
      },
    };
    this.waiting.set(jobId, due);
    if (!this.calling) void this.call();
  }

  /** The process is about to end: whoever waits for a call has it now. */
  beforeApplicationShutdown(): void {
    this.closing = true;
    for (const { jobId, attempt, heard } of this.waiting.values()) {
      heard();
      void this.doorbell.ring(jobId, attempt);
    }
  }

  private async call(): Promise<void> {
    this.calling = true;
    for (const due of this.waiting.values()) {
      if (performance.now() > due.since + LEFT_ALONE_MS) due.heard();
      else await this.callFor(due);
    }
    this.calling = false;
  }

  private async callFor(due: Due): Promise<void> {
    const answered = new Promise<boolean>((resolve) => (due.answered = () => resolve(true)));
    await this.doorbell.ring(due.jobId, due.attempt);
    const inTime = await within(this.patienceMs, answered, false);
    this.patienceMs = inTime ? UNANSWERED_MS : Math.min(this.patienceMs * 2, LONGEST_UNANSWERED_MS);
    due.heard();
  }
}
