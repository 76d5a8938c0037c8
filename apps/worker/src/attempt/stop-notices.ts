import { Injectable } from '@nestjs/common';
import { CancelFeed } from '#feed/cancel-feed.js';
import { JobFeed } from '#feed/job-feed.js';
import type { Attempt } from './attempt.js';

/** Stops attempts whose jobs are canceled. */
@Injectable()
export class StopNotices {
  constructor(
    private readonly jobs: JobFeed,
    private readonly cancels: CancelFeed,
  ) {}

  /**
   * Stops the attempt when its job is canceled, or when a user asks for a cancel, until the returned function is called.
   * @param checkLease called when a notice may have been missed: the lease then shows whether the attempt still holds the job
   */
  subscribe(attempt: Attempt, checkLease: () => void): () => void {
    const { id } = attempt.job;
    const unsubscribe = [
      this.jobs.subscribe(id, (status) => {
        if (status === 'canceled') attempt.stop('canceled');
        else if (status === undefined) checkLease();
      }),
      this.cancels.subscribe(id, () => attempt.stop('cancel')),
    ];
    return () => {
      for (const each of unsubscribe) each();
    };
  }
}
