import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { JobFeed } from '#feed/job-feed.js';
import { within } from '#process/within.js';
import { WorkerWaker } from '#queue/worker-waker.js';

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
  readonly begun: () => void;
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
  private makingTickets = false;
  private closing = false;
  private patienceMs = UNANSWERED_MS;

  constructor(
    private readonly feed: JobFeed,
    private readonly waker: WorkerWaker,
  ) {}

  /** A job's next attempt is due and committed. */
  add(jobId: string, attempt = 1): void {
    if (this.waiting.has(jobId)) return;
    if (this.closing) return void this.waker.wakeForJob(jobId, attempt);
    const unsubscribe = this.feed.subscribe(jobId, (status) => {
      if (status === undefined) due.answered?.();
      else if (status !== 'queued') due.begun();
    });
    const due: Due = {
      jobId,
      attempt,
      since: performance.now(),
      begun: () => {
        unsubscribe();
        this.waiting.delete(jobId);
        due.answered?.();
      },
    };
    this.waiting.set(jobId, due);
    if (!this.makingTickets) void this.makeTickets();
  }

  /** The process is about to end, so every job without a ticket gets one now. */
  beforeApplicationShutdown(): void {
    this.closing = true;
    for (const { jobId, attempt, begun: begun } of this.waiting.values()) {
      begun();
      void this.waker.wakeForJob(jobId, attempt);
    }
  }

  private async makeTickets(): Promise<void> {
    this.makingTickets = true;
    for (const due of this.waiting.values()) {
      if (performance.now() > due.since + LEFT_ALONE_MS) due.begun();
      else await this.makeTicketFor(due);
    }
    this.makingTickets = false;
  }

  private async makeTicketFor(due: Due): Promise<void> {
    const answered = new Promise<boolean>((resolve) => (due.answered = () => resolve(true)));
    await this.waker.wakeForJob(due.jobId, due.attempt);
    const inTime = await within(this.patienceMs, answered, false);
    this.patienceMs = inTime ? UNANSWERED_MS : Math.min(this.patienceMs * 2, LONGEST_UNANSWERED_MS);
    due.begun();
  }
}
