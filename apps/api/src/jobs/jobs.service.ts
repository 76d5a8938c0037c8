import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { JobRow } from '#database/columns.js';
import { newId } from '#database/ids.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { acceptReply } from '#jobs/accept.js';
import { type JobAndMessage, readJob } from '#jobs/read.js';
import { isFinal } from '#jobs/states.js';
import { cancel } from '#jobs/transitions.js';
import { Doorbell } from '#queue/doorbell.js';
import { ChatsService } from '../chats/chats.service.js';
import { assertTakesTurns } from '../turns/refusal.js';
import { type JobWatch, JobWaiter } from './job-waiter.js';

@Injectable()
export class JobsService {
  private readonly logger = new Logger(JobsService.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly doorbell: Doorbell,
    private readonly chats: ChatsService,
    private readonly waiter: JobWaiter,
  ) {}

  /**
   * Asks for a reply to the user messages stored so far.
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `invalid_transition` (nothing to answer)
   */
  async requestReply(userId: string, chatId: string, requestId: string): Promise<JobRow> {
    const jobId = newId();
    const job = await this.manager.transaction((manager) => acceptReply(manager, { jobId, chatId, userId, requestId }));
    if (job === undefined) {
      await this.chats.get(userId, chatId);
      await assertTakesTurns(this.manager, chatId);
      throw new ServiceError('invalid_transition', 'No user message awaits a reply.');
    }
    this.logger.log(`reply asked for job=${jobId} chat=${chatId} request=${requestId}`);
    await this.doorbell.ring(jobId, 1);
    return job;
  }

  /**
   * A job of the caller's.
   * @throws ServiceError `not_found`
   */
  async get(userId: string, jobId: string): Promise<JobAndMessage> {
    const found = await readJob(this.manager, jobId, userId);
    if (found === undefined) throw notFound('job');
    return found;
  }

  /** A job of the caller's once it is final, or as it is after `seconds`, or when `left` says nobody waits any more. */
  async getFinal(userId: string, jobId: string, seconds: number, left: AbortSignal): Promise<JobAndMessage> {
    const watch = this.waiter.watch(jobId);
    try {
      const found = await this.get(userId, jobId);
      return isFinal(found.job.status) ? found : await this.follow(watch, userId, jobId, seconds, left);
    } finally {
      watch.close();
    }
  }

  /** Waits on an open watch until the job is final or the time is up, and reads it. */
  async follow(
    watch: JobWatch,
    userId: string,
    jobId: string,
    seconds: number,
    left: AbortSignal,
  ): Promise<JobAndMessage> {
    const deadline = Date.now() + seconds * 1_000;
    for (;;) {
      const maybe = await watch.untilMaybeFinal(deadline, left);
      const found = await this.get(userId, jobId);
      if (!maybe || isFinal(found.job.status)) return found;
    }
  }

  /**
   * Cancels; cancelling twice is fine.
   * @throws ServiceError `not_found`, `invalid_transition` (it ended otherwise before)
   */
  async cancel(userId: string, jobId: string): Promise<JobAndMessage> {
    await cancel(this.manager, jobId, userId);
    const found = await this.get(userId, jobId);
    if (found.job.status !== 'canceled') {
      throw new ServiceError('invalid_transition', `The job is ${found.job.status}; that is final.`, { jobId });
    }
    return found;
  }
}
