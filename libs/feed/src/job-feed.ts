import type { JobStatus } from '#database/entities/job.entity.js';
import { JOB_CHANNEL } from '#jobs/states.js';
import type { PgNotifications } from './pg-notifications.js';
import { Subscribers } from './subscribers.js';

/** Called with each new state of one job. `undefined`: a notice may have been missed, so read the row. */
export type JobSubscriber = (status: JobStatus | undefined) => void;

/**
 * Changes of jobs, live. A waiting client costs an entry in a map and no query. The statement that changes the row sends the notice with
 * its commit, so notices come from PostgreSQL on both queue stores. They are hints: whenever the connection comes back, every subscriber is
 * asked to read its row.
 */
export class JobFeed {
  private readonly subscribers = new Subscribers<JobSubscriber>();

  constructor(notifications: PgNotifications) {
    notifications.on(JOB_CHANNEL, {
      received: (payload) => {
        const [jobId = '', status] = payload.split(' ');
        for (const subscriber of this.subscribers.of(jobId)) subscriber(status as JobStatus);
      },
      missed: () => {
        for (const subscriber of this.subscribers.all()) subscriber(undefined);
      },
    });
  }

  /** Calls `subscriber` on each change of the job, until the returned function is called. */
  subscribe(jobId: string, subscriber: JobSubscriber): () => void {
    return this.subscribers.add(jobId, subscriber);
  }
}
