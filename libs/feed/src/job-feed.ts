import type { JobStatus } from '#database/entities/job.entity.js';
import { JOB_CHANNEL } from '#jobs/states.js';
import type { Listener } from './listener.js';
import { Listeners } from './listeners.js';

/** Called with each new state of one job. `undefined`: a notice may have been missed, so read the row. */
export type JobListener = (status: JobStatus | undefined) => void;

/**
 * Changes of jobs, live. A waiting client costs an entry in a map and no query. The statement that changes the row sends the notice with
 * its commit, so notices come from PostgreSQL on both queue stores. They are hints: whenever the connection comes back, every subscriber is
 * asked to read its row.
 */
export class JobFeed {
  private readonly listeners = new Listeners<JobListener>();

  constructor(listener: Listener) {
    listener.on(JOB_CHANNEL, {
      heard: (payload) => {
        const [jobId = '', status] = payload.split(' ');
        for (const listener of this.listeners.of(jobId)) listener(status as JobStatus);
      },
      missed: () => {
        for (const listener of this.listeners.all()) listener(undefined);
      },
    });
  }

  /** Calls `listener` on each change of the job, until the returned function is called. */
  follow(jobId: string, listener: JobListener): () => void {
    return this.listeners.add(jobId, listener);
  }
}
