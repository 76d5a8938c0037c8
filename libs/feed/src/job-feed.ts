import type { JobStatus } from '#database/entities/job.entity.js';
import { JOB_CHANNEL } from '#jobs/states.js';
import type { Listener } from './listener.js';
import { Listeners } from './listeners.js';

/** Told of every change of one job's state; `undefined` says "look for yourself, a notice may have been missed". */
export type JobListener = (status: JobStatus | undefined) => void;

/**
 * Changes of jobs, live. A waiting client costs an entry in a map and no query.
 *
 * The notices leave with the commit that changes the row, so they come from PostgreSQL whatever the queue runs on. They are
 * hints: each time the connection comes back, every listener is told to look.
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

  /** Calls `listener` on each change of the job until the returned function is called. */
  follow(jobId: string, listener: JobListener): () => void {
    return this.listeners.add(jobId, listener);
  }
}
