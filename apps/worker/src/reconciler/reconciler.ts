import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { dueJobs, endSpent } from '#jobs/reconcile.js';
import { RECONCILE_MS } from '#jobs/timings.js';
import { Doorbell } from '#queue/doorbell.js';

/**
 * Repairs from PostgreSQL alone what the queue lost: a crash between commit and ring, an emptied store, a worker that
 * died. Every worker runs it; many at once only ring twice.
 */
@Injectable()
export class Reconciler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Reconciler.name);
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly manager: EntityManager,
    private readonly doorbell: Doorbell,
  ) {}

  onApplicationBootstrap(): void {
    this.schedule();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private schedule(): void {
    if (this.stopped) return;
    // Spread, so that many workers do not look in the same instant.
    this.timer = setTimeout(
      () => {
        this.running = this.reconcile().finally(() => this.schedule());
      },
      RECONCILE_MS * (0.75 + Math.random() / 2),
    );
  }

  private async reconcile(): Promise<void> {
    try {
      const ended = await endSpent(this.manager);
      if (ended > 0) this.logger.warn(`${ended} jobs ended: their attempts are spent`);
      // One name for all rings of this while: many workers make one ticket of it, and a ticket that
      // BullMQ still holds from an earlier ring does not swallow this one.
      const round = `r${Math.floor(Date.now() / (5 * RECONCILE_MS))}`;
      const due = await dueJobs(this.manager);
      await Promise.all(due.map(({ id, attempts }) => this.doorbell.ring(id, attempts + 1, round)));
      if (due.length > 0) this.logger.log(`rang again for ${due.length} jobs`);
    } catch (error) {
      this.logger.warn(`cannot reconcile: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
