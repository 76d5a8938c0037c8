import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { MessageRole } from '#database/entities/message.entity.js';
import { newId } from '#database/ids.js';
import { ServiceError } from '#errors/service-error.js';
import { type AcceptedReply, acceptReply, asAccepted, isConflict, type NewTurn } from '#jobs/accept.js';
import { logLine } from '#process/log-line.js';
import { type Span, traceparentOf } from '#telemetry/traces.js';
import { ChatsService } from '../chats/chats.service.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { DueJobs } from '../jobs/due-jobs.js';
import { JobsService } from '../jobs/jobs.service.js';
import { Capacity } from '../limits/capacity.js';
import { Limits } from '../limits/limits.js';
import { RowQueues } from '../limits/row-queues.js';
import { assertTakesTurns } from '../limits/takes-turns.js';
import { acceptingSpan } from './accepting-span.js';

/** A request for a reply. */
export type ReplyOrigin = Pick<NewTurn, 'chatId' | 'userId' | 'requestId' | 'requestKey'> & {
  /** The request's trace context. */
  readonly span: Span | undefined;
};

/** Replies that are asked for apart from the messages that they answer. */
@Injectable()
export class RepliesService {
  private readonly logger = new Logger(RepliesService.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly due: DueJobs,
    private readonly chats: ChatsService,
    private readonly jobs: JobsService,
    private readonly kept: KeptRequests,
    private readonly limits: Limits,
    private readonly capacity: Capacity,
    private readonly rows: RowQueues,
  ) {}

  /**
   * Accepts a job for the user messages stored so far. A request with a known key gets the job that exists.
   * @returns the job as it was accepted
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `invalid_transition` (nothing to answer),
   * `idempotency_key_reused`, `rate_limited`, `unavailable`
   */
  async requestReply(asked: ReplyOrigin): Promise<AcceptedReply & { replayed: boolean }> {
    const { userId, chatId, requestId } = asked;
    const jobId = newId();
    const accepting = acceptingSpan(asked.span, jobId);
    const traceparent = traceparentOf(accepting);
    // The obstacle may be gone by the time it is read. Then it is tried again.
    for (let tries = 0; tries < 3; tries++) {
      const full = await this.capacity.refusal();
      const accepted = full === undefined ? await this.tryToAccept({ jobId, traceparent, ...asked }) : undefined;
      if (accepted !== undefined) {
        this.capacity.accepted();
        this.logger.log(logLine('reply asked for', { request_id: requestId, job_id: jobId, chat_id: chatId }));
        this.due.add(jobId);
        accepting?.end();
        return { ...accepted, replayed: false };
      }
      const refusal = (await this.refusal(userId, chatId)) ?? full;
      // It is read after the attempt to accept: the obstacle may be the job of a twin.
      const kept = await this.kept.find(userId, asked.requestKey);
      if (kept?.jobId) {
        const { job: earlier } = await this.jobs.get(userId, kept.jobId);
        this.jobs.wakeAgain(earlier);
        return { job: asAccepted(earlier), allowance: undefined, replayed: true };
      }
      // A deletion may have taken the key, and the key was the obstacle. Then the present state counts.
      if (refusal !== undefined && (asked.requestKey === undefined || tries > 0)) throw refusal;
    }
    throw new ServiceError('turn_in_progress', 'The chat has a turn in progress.');
  }

  private tryToAccept(reply: ReplyOrigin & Pick<NewTurn, 'jobId' | 'traceparent'>): Promise<AcceptedReply | undefined> {
    const rows = { chat: reply.chatId, user: reply.userId };
    return this.rows
      .run(rows, () => acceptReply(this.manager, reply, this.limits.ofUser))
      .catch((error: unknown) => {
        if (isConflict(error)) return undefined;
        throw error;
      });
  }

  private async refusal(userId: string, chatId: string): Promise<ServiceError | undefined> {
    try {
      const { lastSeq } = await this.chats.get(userId, chatId);
      await assertTakesTurns(this.manager, chatId);
      const [newest] = await this.manager.query<{ role: MessageRole }[]>(
        'SELECT role FROM messages WHERE chat_id = $1 AND seq = $2',
        [chatId, lastSeq],
      );
      if (newest?.role !== 'user') return new ServiceError('invalid_transition', 'No user message awaits a reply.');
      return await this.limits.refusal(userId);
    } catch (error) {
      if (error instanceof ServiceError) return error;
      throw error;
    }
  }
}
