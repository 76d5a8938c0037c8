import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { DispatchFeed } from '#feed/dispatch-feed.js';
import { purgeHolds } from '#jobs/holds.js';
import { endOrphans } from '#jobs/ledger.js';
import { purgeCallers } from '#limits/user-limits.js';
import { abandonedJobs, endExpired, endSpent, purgeKeys } from '#jobs/reconcile.js';
import { CLOSE_MS, LEFT_TO_NEW_SECONDS, PURGE_BATCH, PURGE_MS, RECONCILE_MS } from '#jobs/timings.js';
import { logLine } from '#process/log-line.js';
import { within } from '#process/within.js';
import { turnEnded } from '#telemetry/turns.js';
import { repaired } from '../metrics/repairs.js';
import { Claimer } from '../dispatch/claimer.js';

/**
 * Repairs from PostgreSQL alone what the queue lost: a crash between commit and ticket, an emptied store, a worker that died. When no
 * worker claims a job that is due, it wakes this worker's claimer. Every worker runs it; several at once only look twice.
 */
@Injectable()
export class Reconciler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Reconciler.name);
  private timer: NodeJS.Timeout | undefined;
  private later: NodeJS.Timeout | undefined;
  private stopped = false;
  private purgedAt = 0;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly manager: EntityManager,
    private readonly claimer: Claimer,
    private readonly dispatch: DispatchFeed,
  ) {}

  onApplicationBootstrap(): void {
    this.dispatch.onResumed(() => this.resumed());
    this.dispatch.onHandedBack(() => this.handedBack());
    this.schedule();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.later);
    // PostgreSQL may have fallen silent. It rolls back what it was asked last.
    await within(CLOSE_MS, this.running, undefined);
  }

  private schedule(): void {
    if (this.stopped) return;
    // Spread, so that many workers do not look at the same moment.
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
      [...spent, ...expired].forEach(turnEnded);
      repaired('orphaned_call', await endOrphans(this.manager));
      await this.wakeClaimer();
      await this.purge();
    } catch (error) {
      // A process that stops closes the connections of what it no longer waits for.
      if (!this.stopped) this.logger.warn(logLine('cannot reconcile', {}, error));
    }
  }

  /** Attempts may begin again. The tickets of what is due were used up meanwhile. */
  private resumed(): void {
    if (!this.stopped) void this.claimer.wake();
  }

  /** A turn was handed back, for new workers first. One that is not new may take it if it is still there after their time. */
  private handedBack(): void {
    if (this.stopped) return;
    void this.claimer.wake();
    clearTimeout(this.later);
    this.later = setTimeout(() => void this.claimer.wake(), LEFT_TO_NEW_SECONDS * 1_000);
  }

  /**
   * Wakes the claimer without a ticket: for attempts that were lost with their worker, and for a job that is overdue while the claimer
   * sleeps and slots are free. A claimer that is awake takes the job itself, and a full worker leaves it to others.
   */
  private async wakeClaimer(): Promise<void> {
    const abandoned = await abandonedJobs(this.manager);
    if (abandoned.length > 0) void this.claimer.wake(abandoned);
    else if (this.claimer.isAsleep && (await this.claimer.isMissed()) && this.claimer.isAsleep) {
      this.logger.log('no worker had claimed a job that is due');
      repaired('unclaimed', 1);
      void this.claimer.wake();
    }
  }

  private async purge(): Promise<void> {
    if (Date.now() < this.purgedAt + PURGE_MS) return;
    this.purgedAt = Date.now();
    // After a full batch there may be more.
    while (!this.stopped && (await purgeKeys(this.manager))) continue;
    await purgeHolds(this.manager);
    while (!this.stopped && (await purgeCallers(this.manager, PURGE_BATCH))) continue;
  }
}
