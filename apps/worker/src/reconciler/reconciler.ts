import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { DispatchFeed } from '#feed/dispatch-feed.js';
import { endOrphans } from '#jobs/ledger.js';
import { purgeCallers } from '#jobs/limits.js';
import { abandonedJobs, type DueJob, endExpired, endSpent, overdueJobs, purgeKeys } from '#jobs/reconcile.js';
import { PURGE_BATCH, PURGE_MS, RECONCILE_MS } from '#jobs/timings.js';
import { line } from '#process/log-line.js';
import { Doorbell } from '#queue/doorbell.js';
import { turnEnded } from '#telemetry/turns.js';
import { repaired } from '../metrics/repairs.js';

/** Questions to the queue at once. */
const CHUNK = 20;

/**
 * Repairs from PostgreSQL alone what the queue lost: a crash between commit and ring, an emptied store, a worker that
 * died. Every worker runs it; many at once only ring twice.
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
    private readonly doorbell: Doorbell,
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
      const abandoned = await this.ringForAbandoned();
      repaired('abandoned', abandoned);
      const overdue = await this.ringForOverdue();
      repaired('rung_again', overdue);
      const rung = abandoned + overdue;
      if (rung > 0) this.logger.log(`rang again for ${rung} jobs`);
      await this.purge();
    } catch (error) {
      this.logger.warn(line('cannot reconcile', {}, error));
    }
  }

  /** Attempts may be begun again: whatever is due has lost its ticket meanwhile, or may have. */
  private resumed(): void {
    if (this.stopped) return;
    this.running = this.running
      .then(async () => {
        await this.ringForAbandoned();
        await this.ringForOverdue(0);
      })
      .catch((error: unknown) => this.logger.warn(line('cannot ring for all that waited', {}, error)));
  }

  private async purge(): Promise<void> {
    if (Date.now() < this.purgedAt + PURGE_MS) return;
    this.purgedAt = Date.now();
    // A full batch says that there is more.
    while (!this.stopped && (await purgeKeys(this.manager))) continue;
    while (!this.stopped && (await purgeCallers(this.manager, PURGE_BATCH))) continue;
  }

  /** They go ahead of what waits: each had its turn before. Only its own ticket takes one of them up. */
  private async ringForAbandoned(): Promise<number> {
    const again = nameOfThisWhile();
    const rings = await inChunks(await abandonedJobs(this.manager), async ({ id, attempts }) => {
      const ticket = await this.doorbell.ticket(id, attempts + 1);
      if (ticket === 'gone') return this.doorbell.ring(id, attempts + 1, { ahead: true });
      // Whoever took it may have died before the claim; BullMQ would find that out in half a minute.
      if (ticket === 'taken') return this.doorbell.ring(id, attempts + 1, { ahead: true, again });
      return false;
    });
    return rings.filter(Boolean).length;
  }

  /**
   * Any ticket serves any job that is due, so nothing is lost while as many tickets wait as jobs are overdue: with a long queue,
   * they simply wait as well. Where tickets are missing, so many are made.
   */
  private async ringForOverdue(seconds?: number): Promise<number> {
    const overdue = await overdueJobs(this.manager, seconds);
    if (overdue.length === 0) return 0;
    const tickets = await this.doorbell.waiting();
    if (tickets === undefined) return 0;
    const missing = Math.max(0, overdue.length - tickets);
    const again = nameOfThisWhile();
    const rings = await inChunks(overdue.slice(0, missing), ({ id, attempts }) =>
      this.doorbell.ring(id, attempts + 1, { again }),
    );
    return rings.filter(Boolean).length;
  }
}

/** One name for all rings of this while, so that many workers make one ticket of it. */
function nameOfThisWhile(): string {
  return `r${Math.floor(Date.now() / (5 * RECONCILE_MS))}`;
}

async function inChunks<T>(jobs: readonly DueJob[], work: (job: DueJob) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let at = 0; at < jobs.length; at += CHUNK) {
    results.push(...(await Promise.all(jobs.slice(at, at + CHUNK).map(work))));
  }
  return results;
}
