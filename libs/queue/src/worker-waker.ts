import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import type { JobsOptions, Queue } from 'bullmq';
import { within } from '#process/within.js';
import { REPLY_QUEUE } from './connection.js';
import { reportStoreError } from './store-errors.js';
import { isReadOnly } from './read-only-store.js';

/**
 * A ticket wakes a worker. The worker claims due jobs from the database, so a ticket carries at most the id of the job that it was made
 * for. Text never travels through the queue.
 */
export interface ReplyTicket {
  readonly jobId?: string;
}

/** How long a request waits for the queue to take a ticket. The reconciler replaces a ticket that the queue did not take. */
const WAKE_TIMEOUT_MS = 500;

/** For this long after the store has failed to answer in time, no request waits for it, in milliseconds. Tickets are sent all the same. */
const SILENT_MS = 2_000;

/**
 * Most unanswered commands to the store. Before its first connection BullMQ collects commands without bound, since no limit of the client
 * applies yet.
 */
const MOST_UNDER_WAY = 1_000;

const ticketId = (jobId: string, attempt: number): string => `${jobId}-${attempt}`;

/** Wakes workers. A ticket may get lost or come twice: the rows decide what happens. */
@Injectable()
export class WorkerWaker {
  private silentUntil = 0;
  private underWay = 0;

  constructor(@InjectQueue(REPLY_QUEUE) private readonly queue: Queue<ReplyTicket>) {}

  /**
   * Wakes a worker for a job's next attempt, after `delayMs` milliseconds. Never throws and never takes longer than half a second: the turn
   * is committed by now, and a queue that is away only delays it. While the store is known not to answer, no request waits.
   *
   * The ticket's id consists of the job's id and the attempt, because BullMQ silently ignores an id that it still holds. So two calls for
   * one attempt make one ticket, and a call for the next attempt makes another.
   */
  wakeForJob(jobId: string, attempt: number, delayMs = 0): Promise<void> {
    // Whole milliseconds: BullMQ on PostgreSQL refuses any other.
    return this.add({ jobId }, { jobId: ticketId(jobId, attempt), delay: Math.ceil(delayMs) });
  }

  /** Wakes any worker, because more jobs are due than the caller can take. It never throws either, and never takes longer. */
  wakeAny(): Promise<void> {
    return this.add({}, {});
  }

  /**
   * Whether the queue's store can be used; the answer takes at most half a second. The check removes a ticket that does not exist, since a
   * replica would answer any command that only reads.
   */
  async health(): Promise<'ok' | 'down' | 'read_only'> {
    const asked = this.ask(() => this.queue.removeDeduplicationKey('health')).then(
      () => 'ok' as const,
      (error: unknown) => (isReadOnly(error) ? ('read_only' as const) : ('down' as const)),
    );
    return within<'ok' | 'down' | 'read_only'>(WAKE_TIMEOUT_MS, asked, 'down');
  }

  private async add(ticket: ReplyTicket, options: JobsOptions): Promise<void> {
    const added = this.ask(() => this.queue.add('reply', ticket, options)).then(
      () => 'answered' as const,
      (error: unknown) => {
        reportStoreError(error as Error);
        return 'answered' as const;
      },
    );
    if (Date.now() < this.silentUntil) return;
    if ((await within<'answered' | 'late'>(WAKE_TIMEOUT_MS, added, 'late')) === 'late') {
      this.silentUntil = Date.now() + SILENT_MS;
    }
  }

  private async ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.underWay >= MOST_UNDER_WAY) throw new Error('too many requests are unanswered');
    this.underWay += 1;
    try {
      return await question();
    } finally {
      this.underWay -= 1;
    }
  }
}
