import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { MessageRole } from '#database/entities/message.entity.js';
import { newId } from '#database/ids.js';
import { ServiceError } from '#errors/service-error.js';
import { type AcceptedReply, acceptReply, asAccepted } from '#jobs/accept.js';
import { ChatsService } from '../chats/chats.service.js';
import { JobsService } from '../jobs/jobs.service.js';
import { Limits } from '../limits/limits.js';
import { assertTakesTurns } from '../limits/takes-turns.js';
import { JobAcceptance, type JobOrigin } from './job-acceptance.js';

/** Requests for a reply to messages that are stored already. */
@Injectable()
export class RepliesService {
  constructor(
    private readonly manager: EntityManager,
    private readonly acceptance: JobAcceptance,
    private readonly chats: ChatsService,
    private readonly jobs: JobsService,
    private readonly limits: Limits,
  ) {}

  /**
   * Accepts a job for the user messages stored so far. A request with a known key gets the job that exists.
   * @returns the job as it was accepted
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `invalid_transition` (nothing to answer),
   * `idempotency_key_reused`, `rate_limited`, `budget_exhausted`, `unavailable`
   */
  async requestReply(origin: JobOrigin): Promise<AcceptedReply & { readonly replayed: boolean }> {
    const jobId = newId();
    return this.acceptance.accept<AcceptedReply>(origin, jobId, {
      words: 'reply requested',
      accept: (traceparent) =>
        acceptReply(this.manager, { jobId, traceparent, ...origin }, this.limits.ofUser, this.limits.budgets),
      refusal: () => this.refusal(origin),
      earlier: async (earlierId) => {
        const { job } = await this.jobs.get(origin.userId, earlierId);
        this.jobs.wakeAgain(job);
        return { job: asAccepted(job), allowance: undefined };
      },
    });
  }

  private async refusal({ userId, chatId }: JobOrigin): Promise<ServiceError | undefined> {
    const { lastSeq } = await this.chats.get(userId, chatId);
    await assertTakesTurns(this.manager, chatId);
    const [newest] = await this.manager.query<{ role: MessageRole }[]>(
      'SELECT role FROM messages WHERE chat_id = $1 AND seq = $2',
      [chatId, lastSeq],
    );
    if (newest?.role !== 'user') return new ServiceError('invalid_transition', 'No user message awaits a reply.');
    return this.limits.refusal(userId);
  }
}
