import { CANCEL_CHANNEL } from '#jobs/states.js';
import type { PgNotifications } from './pg-notifications.js';
import { Subscribers } from './subscribers.js';

/**
 * Requests to cancel a job, for the worker that runs it. They come from PostgreSQL on both queue stores, since the SQL that reads the row
 * sends them. If one is lost, the API cancels the row itself.
 */
export class CancelFeed {
  private readonly cancels = new Subscribers<() => void>();

  constructor(notifications: PgNotifications) {
    notifications.on(CANCEL_CHANNEL, {
      received: (jobId) => {
        for (const cancel of this.cancels.of(jobId)) cancel();
      },
      missed: () => undefined,
    });
  }

  /** Calls `cancel` when a user cancels the job, until the returned function is called. */
  subscribe(jobId: string, cancel: () => void): () => void {
    return this.cancels.add(jobId, cancel);
  }
}
