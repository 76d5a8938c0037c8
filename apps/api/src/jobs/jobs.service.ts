import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { JobRow } from '#database/columns.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { type JobAndMessage, readJob } from '#jobs/read.js';
import { isAtRest, isFinal } from '#jobs/states.js';
import { CANCEL_MS } from '#jobs/timings.js';
import { askCancel, cancel } from '#jobs/cancel.js';
import { turnEnded } from '#telemetry/turns.js';
import { hasWaited } from '../http/client-left.js';
import type { Preconditions } from '../http/preconditions.js';
import { RowQueues } from '../limits/row-queues.js';
import { DueJobs } from './due-jobs.js';
import { type JobWatch, JobWaiter } from './job-waiter.js';
import { presentJob } from './present-job.js';

/** A job after a wait. */
export interface AwaitedJob extends JobAndMessage {
  /** The request did not wait: too many requests of its user wait already. */
  readonly atOnce?: true;
}

@Injectable()
export class JobsService {
  constructor(
    private readonly manager: EntityManager,
    private readonly due: DueJobs,
    private readonly waiter: JobWaiter,
    private readonly rows: RowQueues,
  ) {}

  /** Makes a ticket for a job that has not begun: the process that accepted the job may have died before making one. */
  wakeAgain(job: JobRow): void {
    if (job.status === 'queued' && job.attempts === 0) this.due.add(job.id);
  }

  /** Reads a job of the caller's. @throws ServiceError `not_found` */
  async get(userId: string, jobId: string): Promise<JobAndMessage> {
    const found = await readJob(this.manager, jobId, userId);
    if (found === undefined) throw notFound('job');
    return found;
  }

  /** Waits until a job of the caller's is final or waits for a person, for at most `seconds`, or until `left` says that the client has left. */
  async getAtRest(userId: string, jobId: string, seconds: number, left: AbortSignal): Promise<AwaitedJob> {
    const watch = this.waiter.watch(jobId);
    try {
      const found = await this.get(userId, jobId);
      return isAtRest(found.job.status) ? found : await this.waitFor(watch, userId, jobId, seconds, left);
    } finally {
      watch.close();
    }
  }

  /** Waits on an open watch like {@link waitUntil}, unless the user has too many waiting requests: then the job is read at once. */
  async waitFor(
    watch: JobWatch,
    userId: string,
    jobId: string,
    seconds: number,
    left: AbortSignal,
  ): Promise<AwaitedJob> {
    const leave = this.waiter.enter(userId);
    if (leave === undefined) return { ...(await this.get(userId, jobId)), atOnce: true };
    try {
      return await this.waitUntil(isAtRest, watch, userId, jobId, seconds, left);
    } finally {
      leave();
    }
  }

  /** Waits on an open watch until the job's state is wanted or the time is up, and reads it. */
  private async waitUntil(
    isWanted: (status: JobRow['status']) => boolean,
    watch: JobWatch,
    userId: string,
    jobId: string,
    seconds: number,
    left: AbortSignal,
  ): Promise<JobAndMessage> {
    const deadline = Date.now() + seconds * 1_000;
    for (;;) {
      const began = performance.now();
      const maybe = await watch.untilMaybeAtRest(deadline, left);
      hasWaited(left, performance.now() - began);
      const found = await this.get(userId, jobId);
      if (!maybe || isWanted(found.job.status)) return found;
    }
  }

  /**
   * Cancels a job; a second cancel has no effect. The worker of a running job cancels it, since only that worker has the whole text. If
   * that takes too long, this process cancels it.
   * @throws ServiceError `not_found`, `precondition_failed`, `invalid_transition` (it has ended otherwise)
   */
  async cancel(userId: string, jobId: string, preconditions?: Preconditions): Promise<JobAndMessage> {
    if (preconditions?.any === true) {
      // The check needs no lock: from here on the job can only go forward, and an ended job is not canceled.
      const { job, message, toolCalls } = await this.get(userId, jobId);
      preconditions.assertMayChange(presentJob(job, message, toolCalls));
    }
    const watch = this.waiter.watch(jobId, { untilTheEnd: true });
    try {
      if (await askCancel(this.manager, jobId, userId)) {
        // The cancel goes on even if the client has left.
        const never = new AbortController().signal;
        await this.waitUntil(isFinal, watch, userId, jobId, CANCEL_MS / 1_000, never);
      }
    } finally {
      watch.close();
    }
    const ended = await this.rows.run({ job: jobId }, () => cancel(this.manager, jobId, userId));
    if (ended !== undefined) turnEnded(ended);
    const found = await this.get(userId, jobId);
    if (found.job.status !== 'canceled') {
      throw new ServiceError('invalid_transition', `The job is ${found.job.status}; that is final.`, { jobId });
    }
    return found;
  }
}
