import { Injectable, Logger } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { EntityManager } from 'typeorm';
import { isStoreAway } from '#errors/store-away.js';
import { type QueueDepth, queueDepth } from '#jobs/depth.js';
import { logLine } from '#process/log-line.js';
import { within } from '#process/within.js';
import { registry } from '#telemetry/registry.js';

/** How long a result counts as current, in milliseconds. */
const FRESH_MS = 2_000;

/** How long PostgreSQL may take, in milliseconds: the other metrics must not wait for it longer. */
const LONGEST_READ_MS = 2_000;

/**
 * How many jobs wait and run. A request from Prometheus reads the figures from PostgreSQL, at most once in two seconds and never twice at a
 * time. All API processes report the same figures, since the database has them. While the database does not answer, there are no figures.
 */
@Injectable()
export class QueueMetrics {
  private readonly logger = new Logger(QueueMetrics.name);
  private reading: Promise<QueueDepth | undefined> | undefined;
  private readAt = -Infinity;
  private last: QueueDepth | undefined;

  constructor(private readonly manager: EntityManager) {
    const depth = (): Promise<QueueDepth | undefined> => this.depth();
    new Gauge({
      name: 'rejoinder_queue_jobs',
      help: 'Jobs that are due, queued for later, running, and waiting for a person; each counted up to 100,000.',
      labelNames: ['state'],
      registers: [registry],
      async collect() {
        const { due, delayed, running, waitingForPerson } = (await depth()) ?? {};
        this.reset();
        if (due !== undefined) this.set({ state: 'due' }, due);
        if (delayed !== undefined) this.set({ state: 'delayed' }, delayed);
        if (running !== undefined) this.set({ state: 'running' }, running);
        if (waitingForPerson !== undefined) this.set({ state: 'waiting_for_person' }, waitingForPerson);
      },
    });
    new Gauge({
      name: 'rejoinder_queue_oldest_seconds',
      help: 'Time since the service accepted the oldest queued turn.',
      registers: [registry],
      async collect() {
        const { oldestSeconds } = (await depth()) ?? {};
        this.remove();
        if (oldestSeconds !== undefined) this.set(oldestSeconds);
      },
    });
  }

  private async depth(): Promise<QueueDepth | undefined> {
    if (performance.now() < this.readAt + FRESH_MS) return this.last;
    // A slow read goes on after the time limit, and no second one begins beside it.
    this.reading ??= this.read().finally(() => (this.reading = undefined));
    return within(LONGEST_READ_MS, this.reading, undefined);
  }

  private async read(): Promise<QueueDepth | undefined> {
    try {
      this.last = await queueDepth(this.manager);
    } catch (error) {
      this.last = undefined;
      // Other metrics report that the database is away.
      if (!isStoreAway(error)) this.logger.warn(logLine('cannot read the length of the queue', {}, error));
    }
    this.readAt = performance.now();
    return this.last;
  }
}
