import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { DispatchFeed } from '#feed/dispatch-feed.js';
import { purgeHolds } from '#jobs/holds.js';
import { purgeSteps } from '#jobs/steps.js';
import { endOrphans, purgeSpending } from '#jobs/ledger.js';
import { purgeCallers } from '#limits/user-limits.js';
import { abandonedJobs, endExpired, endSpent, endUndecided, purgeKeys } from '#jobs/reconcile.js';
import { LEFT_TO_NEW_SECONDS, PURGE_BATCH, PURGE_MS, RECONCILE_MS } from '#jobs/timings.js';
import { logLine } from '#process/log-line.js';
import { turnEnded } from '#telemetry/turns.js';
import { repaired } from '../metrics/repairs.js';
import { Claimer } from '../dispatch/claimer.js';
import { Periodic } from './periodic.js';

/**
 * Repairs from PostgreSQL alone what the queue lost: a crash between commit and ticket, an emptied store, a worker that died. When no
 * worker claims a due job, it wakes this worker's claimer. Each worker runs a reconciler; several at once do no harm.
 */
@Injectable()
export class Reconciler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Reconciler.name);
  private readonly periodic = new Periodic(
    RECONCILE_MS,
    () => this.reconcile(),
    (error) => this.logger.warn(logLine('cannot reconcile', {}, error)),
  );
  private later: NodeJS.Timeout | undefined;
  private purgedAt = 0;

  constructor(
    private readonly manager: EntityManager,
    private readonly claimer: Claimer,
    private readonly dispatch: DispatchFeed,
  ) {}

  onApplicationBootstrap(): void {
    this.dispatch.onResumed(() => this.resumed());
    this.dispatch.onHandedBack(() => this.handedBack());
    this.periodic.start();
  }

  beforeApplicationShutdown(): Promise<void> {
    clearTimeout(this.later);
    return this.periodic.stop();
  }

  private async reconcile(): Promise<void> {
    const spent = await endSpent(this.manager);
    if (spent.length > 0) this.logger.warn(`${spent.length} jobs ended: they have used up their attempts`);
    repaired('spent', spent.length);
    const expired = await endExpired(this.manager);
    if (expired.length > 0) this.logger.warn(`${expired.length} jobs ended: they waited too long`);
    repaired('expired', expired.length);
    const undecided = await endUndecided(this.manager);
    if (undecided.length > 0) this.logger.warn(`${undecided.length} jobs ended: nobody decided in time`);
    [...spent, ...expired, ...undecided].forEach(turnEnded);
    repaired('orphaned_call', await endOrphans(this.manager));
    await this.wakeClaimer();
    await this.purge();
  }

  /** Operators have resumed dispatch. The tickets of the due jobs were used up during the pause. */
  private resumed(): void {
    if (!this.periodic.isStopping) void this.claimer.wake();
  }

  /**
   * A stopping worker has handed a job back. New workers may claim it at once; if none does, others may claim it after
   * {@link LEFT_TO_NEW_SECONDS}.
   */
  private handedBack(): void {
    if (this.periodic.isStopping) return;
    void this.claimer.wake();
    clearTimeout(this.later);
    this.later = setTimeout(() => void this.claimer.wake(), LEFT_TO_NEW_SECONDS * 1_000);
  }

  /**
   * Wakes the claimer without a ticket: for attempts that were lost with their worker, and for an overdue job while the claimer sleeps and
   * slots are free. A claimer that is awake finds the job itself, and a full worker leaves it to others.
   */
  private async wakeClaimer(): Promise<void> {
    const abandoned = await abandonedJobs(this.manager);
    if (abandoned.length > 0) void this.claimer.wake(abandoned);
    else if (this.claimer.isAsleep && (await this.claimer.isMissed()) && this.claimer.isAsleep) {
      this.logger.log('no worker has claimed a due job');
      repaired('unclaimed', 1);
      void this.claimer.wake();
    }
  }

  private async purge(): Promise<void> {
    if (Date.now() < this.purgedAt + PURGE_MS) return;
    this.purgedAt = Date.now();
    // After a full batch, more may be left.
    while (!this.periodic.isStopping && (await purgeKeys(this.manager))) continue;
    await purgeHolds(this.manager);
    await purgeSteps(this.manager);
    await purgeSpending(this.manager);
    while (!this.periodic.isStopping && (await purgeCallers(this.manager, PURGE_BATCH))) continue;
  }
}
