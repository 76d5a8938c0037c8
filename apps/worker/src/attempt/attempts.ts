import { Injectable, Logger } from '@nestjs/common';
import { UserTags } from '#database/user-tags.js';
import type { ClaimedJob } from '#jobs/claim.js';
import { logLine } from '#process/log-line.js';
import type { Permit } from '../model/circuits.js';
import { Attempt } from './attempt.js';
import { type Ended, Endings } from './endings.js';
import { Heartbeats } from './heartbeats.js';
import { ReplyPublisher } from './publisher.js';
import { Steps } from './steps.js';
import { StopNotices } from './stop-notices.js';

/** Runs attempts: has their steps made, and their ends written. */
@Injectable()
export class Attempts {
  private readonly logger = new Logger(Attempts.name);

  constructor(
    private readonly steps: Steps,
    private readonly endings: Endings,
    private readonly heartbeats: Heartbeats,
    private readonly publisher: ReplyPublisher,
    private readonly notices: StopNotices,
    private readonly users: UserTags,
  ) {}

  /**
   * Runs an attempt that was claimed to its end. Never rejects.
   * @param shutdown aborted when the worker stops and the attempt has to be handed back
   */
  async run(job: ClaimedJob, permit: Permit, shutdown: AbortSignal): Promise<Ended> {
    try {
      const attempt = new Attempt(job, permit, this.users.tagOf(job.userId));
      shutdown.addEventListener('abort', () => attempt.stop('shutdown'), { once: true });
      return await this.runHeld(attempt);
    } catch (error) {
      // The database is away for too long, or the fault is ours. The lease runs out, and another attempt takes over.
      this.logger.error(logLine('an attempt broke off', { job_id: job.id }, error));
      return { more: false };
    } finally {
      permit.unused();
    }
  }

  /** Runs the attempt while its lease is kept, its text published and its cancel listened for. */
  private async runHeld(attempt: Attempt): Promise<Ended> {
    const lease = this.heartbeats.keep(attempt.draft, () => attempt.stop('lost'));
    const unsubscribe = this.notices.subscribe(attempt, () => lease.beat());
    const unpublish = this.publisher.open(attempt.job, attempt.draft, () => attempt.meter.published());
    this.logger.log(logLine('attempt begins', attempt.ids));
    try {
      return await this.endings.succeeded(attempt, await this.steps.run(attempt));
    } catch (error) {
      const why = attempt.stoppedFor;
      if (why === undefined) return await this.endings.failed(attempt, error);
      // The model call has ended by now. The lease need not be held any longer, and a late heartbeat must not get in between.
      await lease.stop();
      return await this.endings.stopped(attempt, why);
    } finally {
      await lease.stop();
      unsubscribe();
      unpublish();
      attempt.meter.left();
    }
  }
}
