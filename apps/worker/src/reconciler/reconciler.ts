import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { DispatchFeed } from '#feed/dispatch-feed.js';
import { purgeHolds } from '#jobs/holds.js';
import { endOrphans } from '#jobs/ledger.js';
import { purgeCallers } from '#jobs/limits.js';
import { abandonedJobs, endExpired, endSpent, purgeKeys } from '#jobs/reconcile.js';
import { PURGE_BATCH, PURGE_MS, RECONCILE_MS } from '#jobs/timings.js';
import { line } from '#process/log-line.js';
import { turnEnded } from '#telemetry/turns.js';
import { repaired } from '../metrics/repairs.js';
import { Line } from '../reply/line.js';

/**
 * Repairs from PostgreSQL alone what the queue lost: a crash between commit and ring, an emptied store, a worker that died. Where nobody
 * comes for a job, its worker goes to the line uncalled. Every worker runs it; many at once only look twice.
 */
@Injectable()
export class Reconciler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Reconciler.name);
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private purgedAt = 0;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly manager: EntityManager,
    private readonly atLine: Line,
    private readonly dispatch: DispatchFeed,
  ) {}

  onApplicationBootstrap(): void {
    this.dispatch.onResumed(() => this.resumed());
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
      const spent = await endSpent(this.manager);
      if (spent.length > 0) this.logger.warn(`${spent.length} jobs ended: their attempts are spent`);
      repaired('spent', spent.length);
      const expired = await endExpired(this.manager);
      if (expired.length > 0) this.logger.warn(`${expired.length} jobs ended: they waited too long`);
      repaired('expired', expired.length);
      for (const turn of [...spent, ...expired]) turnEnded(turn, 'failed');
      repaired('orphaned_call', await endOrphans(this.manager));
      await this.comeUncalled();
      await this.purge();
    } catch (error) {
      this.logger.warn(line('cannot reconcile', {}, error));
    }
  }

  /** Attempts may be begun again: whatever is due has lost its ticket meanwhile. */
  private resumed(): void {
    if (!this.stopped) void this.atLine.come();
  }

  /**
   * Goes to the line where nobody was called to it: for attempts that were lost with their worker, and for a job that is overdue while this
   * worker has room and is not there already. With a long line, there is somebody; and a worker without room leaves it to others.
   */
  private async comeUncalled(): Promise<void> {
    const abandoned = await abandonedJobs(this.manager);
    if (abandoned.length > 0) void this.atLine.come(abandoned);
    else if (this.atLine.isAway && (await this.atLine.isMissed()) && this.atLine.isAway) {
      this.logger.log('nobody had come for a job that is due');
      repaired('rung_again', 1);
      void this.atLine.come();
    }
  }

  private async purge(): Promise<void> {
    if (Date.now() < this.purgedAt + PURGE_MS) return;
    this.purgedAt = Date.now();
    // A full batch says that there is more.
    while (!this.stopped && (await purgeKeys(this.manager))) continue;
    await purgeHolds(this.manager);
    while (!this.stopped && (await purgeCallers(this.manager, PURGE_BATCH))) continue;
  }
}
