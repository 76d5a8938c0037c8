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

/** Runs attempts: their steps, then the writing of their ends. */
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
   * Runs a claimed attempt to its end. Never rejects.
   * @param shutdown aborts when the worker stops and must hand the job back
   */
  async run(job: ClaimedJob, permit: Permit, shutdown: AbortSignal): Promise<Ended> {
    let attempt: Attempt | undefined;
    try {
      const begun = (attempt = new Attempt(job, permit, this.users.tagOf(job.userId)));
      shutdown.addEventListener('abort', () => begun.stop('shutdown'), { once: true });
      return await this.runHeld(begun);
    } catch (error) {
      // The database was away for too long, or our code has a fault. The lease runs out, and another attempt takes over.
      this.logger.error(logLine('an attempt broke off', { job_id: job.id }, error));
      return { more: false };
    } finally {
      (attempt?.permit ?? permit).unused();
    }
  }

  /** Runs the attempt. Meanwhile heartbeats extend its lease, its text is published, and a cancel stops it. */
  private async runHeld(attempt: Attempt): Promise<Ended> {
    const lease = this.heartbeats.keep(attempt.draft, () => attempt.stop('lost'));
    const unsubscribe = this.notices.subscribe(attempt, () => lease.beat());
    const unpublish = this.publisher.open(attempt.job, attempt.draft, () => attempt.meter.published());
    this.logger.log(logLine('attempt begins', attempt.ids));
    try {
      const reply = await this.steps.run(attempt);
      return reply === undefined ? this.endings.waits(attempt) : await this.endings.succeeded(attempt, reply);
    } catch (error) {
      const why = attempt.stoppedFor;
      if (why === undefined) return await this.endings.failed(attempt, error);
      // The call of the model has ended, so the lease is no longer needed. A late heartbeat must not interfere with the writing of the end.
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
