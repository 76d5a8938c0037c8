import { Processor, WorkerHost } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, Inject, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job } from 'bullmq';
import { REPLY_QUEUE } from '#queue/connection.js';
import type { ReplyTicket } from '#queue/doorbell.js';
import { ReplyRunner } from './reply.runner.js';

/** How many attempts one worker process runs at once. */
export const CONCURRENCY = Symbol('CONCURRENCY');

/** Time running attempts get to finish on shutdown before they are handed back, in milliseconds. */
const DRAIN_MS = 8_000;

/**
 * BullMQ's end of the line: takes a ticket and has the row's attempt run. Whatever BullMQ makes of stalls and
 * failures, the row decides: a ticket too many finds nothing to claim.
 */
@Processor(REPLY_QUEUE, { autorun: false, maxStalledCount: 100, lockDuration: 30_000 })
export class ReplyProcessor extends WorkerHost implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(ReplyProcessor.name);

  constructor(
    private readonly runner: ReplyRunner,
    @Inject(CONCURRENCY) private readonly concurrency: number,
  ) {
    super();
  }

  override async process(ticket: Job<ReplyTicket>): Promise<void> {
    try {
      await this.runner.run(ticket.data.jobId);
    } catch (error) {
      // The store is away, or a fault of ours. The ticket is done with: the reconciler rings again.
      this.logger.error(`job=${ticket.data.jobId}`, error instanceof Error ? error.stack : String(error));
    }
  }

  onApplicationBootstrap(): void {
    this.worker.on('error', (error) => this.logger.warn(`queue: ${error.message}`));
    this.worker.concurrency = this.concurrency;
    void this.worker.run().catch((error: unknown) => this.logger.error(`the queue's worker ended: ${String(error)}`));
  }

  /** Takes no more tickets, lets running attempts finish for a while, then hands the rest back. */
  async beforeApplicationShutdown(): Promise<void> {
    const handBack = setTimeout(() => this.runner.stopAll(), DRAIN_MS);
    await this.worker.close();
    clearTimeout(handBack);
  }
}
