import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { within } from '#process/within.js';
import { REPLY_QUEUE } from './connection.js';

/** All a queue entry carries: which row to look at. Text never travels through the queue. */
export interface ReplyTicket {
  readonly jobId: string;
}

/** How long a request waits for the queue to take an entry; the reconciler repairs what did not get in. */
const RING_TIMEOUT_MS = 500;

/** Tells the workers that a job is due. A ring may get lost or come twice: the row decides what happens. */
@Injectable()
export class Doorbell implements OnModuleInit {
  private readonly logger = new Logger(Doorbell.name);

  constructor(@InjectQueue(REPLY_QUEUE) private readonly queue: Queue<ReplyTicket>) {}

  onModuleInit(): void {
    // Without a listener an 'error' event would end the process.
    this.queue.on('error', (error) => this.logger.warn(`queue: ${error.message}`));
  }

  /**
   * Puts the job's next attempt on the queue. Never throws and never takes longer than half a second:
   * by now the turn is committed, and a queue that is away only delays it.
   *
   * The entry's id is made of the row's id and the attempt, because BullMQ silently ignores an id it still holds:
   * ringing twice for one attempt is one entry, ringing for the next attempt is another. `round` sets rings for
   * the same attempt apart, `delayMs` has the entry wait.
   */
  ring(jobId: string, attempt: number, round?: string, delayMs = 0): Promise<boolean> {
    const id = round === undefined ? `${jobId}-${attempt}` : `${jobId}-${attempt}-${round}`;
    const added = this.queue.add('reply', { jobId }, { jobId: id, delay: delayMs }).then(
      () => true,
      (error: unknown) => {
        this.logger.warn(`could not ring for job ${jobId}: ${error instanceof Error ? error.message : String(error)}`);
        return false;
      },
    );
    return within(RING_TIMEOUT_MS, added, false);
  }

  /** Whether the queue's store answers within half a second. */
  reachable(): Promise<boolean> {
    const asked = this.queue.getJobCountByTypes('waiting').then(
      () => true,
      () => false,
    );
    return within(RING_TIMEOUT_MS, asked, false);
  }
}
