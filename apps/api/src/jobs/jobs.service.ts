import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { JobRow } from '#database/columns.js';
import { newId } from '#database/ids.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { ReplyFeed } from '#feed/reply-feed.js';
import { acceptReply, asAccepted, isConflict, type NewTurn } from '#jobs/accept.js';
import { type JobAndMessage, readJob } from '#jobs/read.js';
import { isFinal } from '#jobs/states.js';
import { CANCEL_MS } from '#jobs/timings.js';
import { cancel } from '#jobs/transitions.js';
import { Doorbell } from '#queue/doorbell.js';
import { ChatsService } from '../chats/chats.service.js';
import { assertTakesTurns } from '../turns/refusal.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { type JobWatch, JobWaiter } from './job-waiter.js';

/** A cancel is carried out even if whoever asked for it has left. */
const NEVER = new AbortController().signal;

/** Who asks for a reply, and how. */
export type ReplyOrigin = Pick<NewTurn, 'chatId' | 'userId' | 'requestId' | 'requestKey'>;

@Injectable()
export class JobsService {
  private readonly logger = new Logger(JobsService.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly doorbell: Doorbell,
    private readonly chats: ChatsService,
    private readonly waiter: JobWaiter,
    private readonly replies: ReplyFeed,
    private readonly kept: KeptRequests,
  ) {}

  /**
   * Asks for a reply to the user messages stored so far; a request whose key is known gets the job that there is.
   * @returns the job as it was accepted
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `invalid_transition` (nothing to answer),
   * `idempotency_key_reused`
   */
  async requestReply(asked: ReplyOrigin): Promise<{ job: JobRow; replayed: boolean }> {
    const { userId, chatId, requestId } = asked;
    const jobId = newId();
    const job = await this.manager
      .transaction((manager) => acceptReply(manager, { jobId, ...asked }))
      .catch((error: unknown) => {
        if (isConflict(error)) return undefined;
        throw error;
      });
    if (job === undefined) {
      const kept = await this.kept.find(userId, asked.requestKey);
      if (kept?.jobId) return { job: asAccepted((await this.get(userId, kept.jobId)).job), replayed: true };
      await this.chats.get(userId, chatId);
      await assertTakesTurns(this.manager, chatId);
      throw new ServiceError('invalid_transition', 'No user message awaits a reply.');
    }
    this.logger.log(`reply asked for job=${jobId} chat=${chatId} request=${requestId}`);
    await this.doorbell.ring(jobId, 1);
    return { job, replayed: false };
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
   * Cancels; cancelling twice is fine. A running job is canceled by its worker, which alone has all of the text; by us if
   * that takes too long.
   * @throws ServiceError `not_found`, `invalid_transition` (it ended otherwise before)
   */
  async cancel(userId: string, jobId: string): Promise<JobAndMessage> {
    const watch = this.waiter.watch(jobId);
    try {
      const { job } = await this.get(userId, jobId);
      if (job.status === 'running' && (await this.replies.askCancel(jobId))) {
        await watch.untilMaybeFinal(Date.now() + CANCEL_MS, NEVER);
      }
    } finally {
      watch.close();
    }
    await cancel(this.manager, jobId, userId);
    const found = await this.get(userId, jobId);
    if (found.job.status !== 'canceled') {
      throw new ServiceError('invalid_transition', `The job is ${found.job.status}; that is final.`, { jobId });
    }
    return found;
  }
}
