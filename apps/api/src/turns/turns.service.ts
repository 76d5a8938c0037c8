import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { TurnRequest } from '#contract/requests.dto.js';
import type { Message } from '#database/entities/message.entity.js';
import { newId } from '#database/ids.js';
import { ServiceError } from '#errors/service-error.js';
import { isStoreAway } from '#errors/store-away.js';
import { type AcceptedTurn, acceptTurn, isTurnConflict } from '#jobs/accept.js';
import type { JobAndMessage } from '#jobs/read.js';
import { isFinal } from '#jobs/states.js';
import { Doorbell } from '#queue/doorbell.js';
import { ChatsService } from '../chats/chats.service.js';
import { JobWaiter } from '../jobs/job-waiter.js';
import { JobsService } from '../jobs/jobs.service.js';
import { assertTakesTurns } from './refusal.js';

export interface TurnOrigin {
  readonly userId: string;
  readonly chatId: string;
  /** Set when the turn came by an assistant's own paths. */
  readonly assistantSlug: string | undefined;
  readonly requestId: string;
}

export interface SentTurn extends JobAndMessage {
  readonly userMessage: Message;
}

@Injectable()
export class TurnsService {
  private readonly logger = new Logger(TurnsService.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly doorbell: Doorbell,
    private readonly chats: ChatsService,
    private readonly jobs: JobsService,
    private readonly waiter: JobWaiter,
  ) {}

  /**
   * Accepts a turn and waits up to `waitSeconds` for its reply. The turn is committed before anything waits, and goes
   * on whoever leaves.
   * @returns the job, final or not
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`
   */
  async send(origin: TurnOrigin, body: TurnRequest, waitSeconds: number, left: AbortSignal): Promise<SentTurn> {
    const jobId = newId();
    // Opened first: a quick worker may be done before the commit is heard of here.
    const watch = this.waiter.watch(jobId);
    try {
      const { userMessage, job } = await this.accept(origin, body, jobId);
      const accepted = { userMessage, job, message: null };
      if (waitSeconds === 0) return accepted;
      try {
        return { userMessage, ...(await this.jobs.follow(watch, origin.userId, jobId, waitSeconds, left)) };
      } catch (error) {
        // The turn is accepted, whatever became of the store since: the client must learn of its job.
        if (isStoreAway(error)) return accepted;
        throw error;
      }
    } finally {
      watch.close();
    }
  }

  /**
   * Accepts a turn and tells the workers. By the time this returns the turn is committed.
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`
   */
  async accept(origin: TurnOrigin, body: TurnRequest, jobId = newId()): Promise<AcceptedTurn> {
    const accepted = await this.insert(jobId, origin, body);
    this.logger.log(`turn accepted job=${jobId} chat=${origin.chatId} request=${origin.requestId}`);
    await this.doorbell.ring(jobId, 1);
    return accepted;
  }

  private async insert(jobId: string, origin: TurnOrigin, body: TurnRequest): Promise<AcceptedTurn> {
    const turn = { ...origin, jobId, content: body.user_message, metadata: body.metadata ?? {} };
    // What was in the way may be gone by the time it is looked at: then once more.
    for (let tries = 0; tries < 3; tries++) {
      const accepted = await acceptTurn(this.manager, turn).catch((error: unknown) => {
        if (isTurnConflict(error)) return undefined;
        throw error;
      });
      if (accepted !== undefined) return accepted;
      await this.chats.get(origin.userId, origin.chatId, origin.assistantSlug);
      await assertTakesTurns(this.manager, origin.chatId);
    }
    throw new ServiceError('turn_in_progress', 'The chat has a turn in progress.');
  }
}

/** What a finished turn is answered with. @throws ServiceError for a turn that has no complete reply */
export function replyOf(sent: SentTurn): Message {
  const { job, message } = sent;
  if (job.status === 'succeeded' && message !== null) return message;
  if (job.status === 'canceled') {
    throw new ServiceError('turn_canceled', 'The turn was canceled.', { jobId: job.id });
  }
  if (isFinal(job.status)) {
    throw new ServiceError('assistant_failed', job.errorMessage ?? 'The assistant gave no reply.', { jobId: job.id });
  }
  throw new Error('The turn is not finished.');
}
