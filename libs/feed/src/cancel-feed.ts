import { CANCEL_CHANNEL } from '#jobs/states.js';
import type { Listener } from './listener.js';
import { Listeners } from './listeners.js';

/**
 * Requests to cancel a job, for the worker that runs it. They are sent by SQL, beside the row they are about, so they come
 * from PostgreSQL whatever the queue runs on. One that was missed is made up for by whoever asked: the row is canceled over
 * the worker's head.
 */
export class CancelFeed {
  private readonly cancels = new Listeners<() => void>();

  constructor(listener: Listener) {
    listener.on(CANCEL_CHANNEL, {
      heard: (jobId) => {
        for (const cancel of this.cancels.of(jobId)) cancel();
      },
      missed: () => undefined,
    });
  }

  /** Calls `cancel` when somebody asks for the job's cancel, until the returned function is called. */
  follow(jobId: string, cancel: () => void): () => void {
    return this.cancels.add(jobId, cancel);
  }
}
