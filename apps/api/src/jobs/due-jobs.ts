import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { JobFeed } from '#feed/job-feed.js';
import { within } from '#process/within.js';
import { Doorbell } from '#queue/doorbell.js';

/** How long an unanswered ticket keeps others from being made, in milliseconds. The time doubles with each that is not answered. */
const UNANSWERED_MS = 100;
const LONGEST_UNANSWERED_MS = 400;

/** After this time, in milliseconds, a job without a ticket is left to the tickets that were made, and to the reconciler. */
const LEFT_ALONE_MS = 1_000;

interface Due {
  readonly jobId: string;
  readonly attempt: number;
  readonly since: number;
  /** Called when an attempt has begun, or the job has ended. */
  readonly heard: () => void;
  /** The same for the job that has a ticket. */
  answered?: () => void;
}

/**
 * Makes tickets for jobs that this process has accepted. It never waits, and no request waits for it.
 *
 * It has one unanswered ticket at a time: it makes no other until the job of the last one runs. A worker that is woken takes everything
 * that is due, so jobs that came meanwhile may run by then. A lone turn gets its ticket at once; under load many turns share a ticket, and
 * most need none. While all workers are full tickets become rare, and one waits for the first worker with a free slot.
 */
@Injectable()
export class DueJobs implements BeforeApplicationShutdown {
  /** Jobs without a ticket, in the order in which they came. */
  private readonly waiting = new Map<string, Due>();
  private calling = false;
  private closing = false;
  private patienceMs = UNANSWERED_MS;

  constructor(
    private readonly feed: JobFeed,
    private readonly doorbell: Doorbell,
  ) {}

  /** A job's next attempt is due and committed. */
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

  /** The process is about to end, so every job without a ticket gets one now. */
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
