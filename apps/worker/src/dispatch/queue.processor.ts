import { setTimeout as sleep } from 'node:timers/promises';
import { Processor, WorkerHost } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { CLOSE_MS, HAND_BACK_MS } from '#jobs/timings.js';
import { logLine } from '#process/log-line.js';
import { within } from '#process/within.js';
import { queueConnection, type QueueStore, REPLY_QUEUE } from '#queue/connection.js';
import { WorkerLife } from '../attempt/worker-life.js';
import { Claimer } from './claimer.js';
import { Slots } from './slots.js';

/** How soon BullMQ's worker is started again if it ends by itself, in milliseconds. */
const AGAIN_MS = 1_000;

/**
 * Takes tickets from BullMQ and wakes the claimer. Only the rows decide, so BullMQ's handling of stalls, failures and expired locks does
 * not matter: an extra ticket finds nothing to claim, and an attempt ends when its lease is lost.
 *
 * It takes one ticket at a time and keeps it until no job is due and a slot is free. So a full worker leaves the tickets to others.
 */
@Injectable()
export class QueueProcessor extends WorkerHost implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(QueueProcessor.name);
  private stopping = false;

  constructor(
    private readonly claimer: Claimer,
    private readonly slots: Slots,
    private readonly life: WorkerLife,
  ) {
    super();
  }

  /**
   * Binds the class to the queue on this store. Nest's default for a worker is the producer's connection options, but a producer must fail
   * fast where a worker must wait.
   */
  static on(store: QueueStore): typeof QueueProcessor {
    Processor(REPLY_QUEUE, {
      connection: queueConnection(store, 'worker'),
      concurrency: 1,
      autorun: false,
      maxStalledCount: 100,
      lockDuration: 30_000,
      // How soon the worker tries again after an outage of the store. BullMQ's default is 15 s.
      runRetryDelay: 1_000,
    })(QueueProcessor);
    return QueueProcessor;
  }

  override process(): Promise<void> {
    return this.claimer.wake();
  }

  /** Due jobs may have waited for a new worker, and no ticket announces them. */
  onApplicationBootstrap(): void {
    void this.claimer.wake();
    void this.work();
  }

  private async work(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.worker.run();
      } catch (error) {
        this.logger.error(logLine('cannot take tickets', {}, error));
      }
      await sleep(AGAIN_MS);
    }
  }

  /** Takes no more tickets, lets running attempts finish within the time of the settings, then hands the rest back. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopping = true;
    this.life.stop();
    const left = this.claimer.stop();
    const stopAll = this.slots.drain();
    // The process waits only for the attempts, which BullMQ does not know. BullMQ's worker would not close while the store is away.
    const drained = left.then(() => this.slots.idle());
    const closed = Promise.all([drained, this.worker.close()]);
    await within(
      this.slots.drainMs + HAND_BACK_MS,
      Promise.race([closed, drained.then(() => sleep(CLOSE_MS))]),
      undefined,
    );
    stopAll();
    await within(HAND_BACK_MS, this.slots.idle(), undefined);
  }
}
