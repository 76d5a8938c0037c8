import { setTimeout as sleep } from 'node:timers/promises';
import { Processor, WorkerHost } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job } from 'bullmq';
import { CLOSE_MS, DRAIN_MS, HAND_BACK_MS } from '#jobs/timings.js';
import { line } from '#process/log-line.js';
import { within } from '#process/within.js';
import { queueConnection, type QueueStore, REPLY_QUEUE } from '#queue/connection.js';
import type { ReplyTicket } from '#queue/doorbell.js';
import { ReplyRunner } from './reply.runner.js';

/** How soon the queue's worker is started again should it end by itself, in milliseconds. */
const AGAIN_MS = 1_000;

/**
 * BullMQ's end of the line: takes a ticket and has the row's attempt run. Whatever BullMQ makes of stalls, of locks it could
 * not renew and of failures, the row decides: a ticket too many finds nothing to claim, and an attempt ends when its
 * lease is lost, not when its ticket is.
 */
@Injectable()
export class ReplyProcessor extends WorkerHost implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(ReplyProcessor.name);
  private stopping = false;

  constructor(private readonly runner: ReplyRunner) {
    super();
  }

  /**
   * Ties the class to the queue, on this store and with so many attempts at once. Nest would have a worker share the
   * producer's connection options; but a producer must fail fast where a worker must wait.
   */
  static on(store: QueueStore, concurrency: number): typeof ReplyProcessor {
    Processor(REPLY_QUEUE, {
      connection: queueConnection(store, 'worker'),
      concurrency,
      autorun: false,
      maxStalledCount: 100,
      lockDuration: 30_000,
      // How soon it is tried again after the store was away; BullMQ's default is 15 s.
      runRetryDelay: 1_000,
    })(ReplyProcessor);
    return ReplyProcessor;
  }

  override async process(ticket: Job<ReplyTicket>): Promise<void> {
    try {
      await this.runner.run(ticket.data.jobId);
    } catch (error) {
      // The store is away, or a fault of ours. The ticket is done with: the reconciler rings again.
      this.logger.error(line('attempt given up', { job_id: ticket.data.jobId }, error));
    }
  }

  onApplicationBootstrap(): void {
    void this.work();
  }

  private async work(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.worker.run();
      } catch (error) {
        this.logger.error(line('the worker of the queue ended', {}, error));
      }
      await sleep(AGAIN_MS);
    }
  }

  /** Takes no more tickets, lets running attempts finish for a while, then hands the rest back. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopping = true;
    this.runner.stopHolding();
    const handBack = setTimeout(() => this.runner.stopAll(), DRAIN_MS);
    // A queue whose store is away never says that it is closed; that no attempt runs is what counts.
    const done = this.runner.idle().then(() => sleep(CLOSE_MS));
    await within(DRAIN_MS + HAND_BACK_MS, Promise.race([this.worker.close(), done]), undefined);
    clearTimeout(handBack);
    this.runner.stopAll();
    await within(HAND_BACK_MS, this.runner.idle(), undefined);
  }
}
