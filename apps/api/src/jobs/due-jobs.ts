import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { JobFeed } from '#feed/job-feed.js';
import { within } from '#process/within.js';
import { WorkerWaker } from '#queue/worker-waker.js';

/** How long an unanswered ticket prevents the next one, in milliseconds. The time doubles with each unanswered ticket. */
const UNANSWERED_MS = 100;
const LONGEST_UNANSWERED_MS = 400;

/** After this time, in milliseconds, a job without a ticket gets none: earlier tickets or the reconciler wake a worker for it. */
const LEFT_ALONE_MS = 1_000;

interface Due {
  readonly jobId: string;
  readonly attempt: number;
  readonly since: number;
  /** Called when the job's attempt has begun, or the job has ended. */
  readonly begun: () => void;
  /** The same for the job that has a ticket. */
  answered?: () => void;
}

/**
 * Makes tickets for the jobs that this process has accepted. No request waits for it.
 *
 * Only one ticket is unanswered at a time: the next one is made when the job of the last one runs. A woken worker claims all due jobs, so
 * jobs that were accepted meanwhile may run by then. A single turn gets its ticket at once; under load many turns share a ticket, and most
 * need none. While all workers are full, tickets become rare, and one waits for the first worker with a free slot.
 */
@Injectable()
export class DueJobs implements BeforeApplicationShutdown {
  /** Jobs without a ticket, in order of arrival. */
  private readonly waiting = new Map<string, Due>();
  private makingTickets = false;
  private closing = false;
  private patienceMs = UNANSWERED_MS;

  constructor(
    private readonly feed: JobFeed,
    private readonly waker: WorkerWaker,
  ) {}

  /** Adds a job whose next attempt is due and committed. */
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

  /** The process is about to end, so each job without a ticket gets one now. */
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
