import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { TurnRequest } from '#contract/requests.dto.js';
import { messageColumns, type MessageRow } from '#database/columns.js';
import { newId } from '#database/ids.js';
import { assistantFailed, invalidField, notFound, ServiceError } from '#errors/service-error.js';
import { isStoreAway } from '#errors/store-away.js';
import { type AcceptedTurn, acceptTurn, asAccepted } from '#jobs/accept.js';
import { isFinal } from '#jobs/states.js';
import { ChatsService } from '../chats/chats.service.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { JobWaiter } from '../jobs/job-waiter.js';
import { type AwaitedJob, JobsService } from '../jobs/jobs.service.js';
import { Limits } from '../limits/limits.js';
import { JobAcceptance, type JobOrigin } from './job-acceptance.js';
import { assertTakesTurns } from '../limits/takes-turns.js';

export interface TurnOrigin extends JobOrigin {
  /** Set when the turn was sent to an assistant's path. */
  readonly assistantSlug: string | undefined;
}

/** A turn, and whether an earlier request with the same key sent it. */
export interface TakenTurn extends AcceptedTurn {
  readonly replayed: boolean;
}

export interface SentTurn extends AwaitedJob, Pick<AcceptedTurn, 'allowance'> {
  readonly userMessage: MessageRow;
  readonly replayed: boolean;
}

@Injectable()
export class TurnsService {
  constructor(
    private readonly manager: EntityManager,
    private readonly acceptance: JobAcceptance,
    private readonly chats: ChatsService,
    private readonly jobs: JobsService,
    private readonly waiter: JobWaiter,
    private readonly kept: KeptRequests,
    private readonly limits: Limits,
  ) {}

  /**
   * Accepts a turn and waits up to `waitSeconds` for its reply; undefined: returns the job as it was accepted. The turn is committed before
   * the wait, and goes on if the client leaves. A request with a known key attaches to the turn that exists.
   *
   * @returns the job, final or not
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `idempotency_key_reused`, `rate_limited`,
   * `budget_exhausted`, `unavailable`
   */
  async send(
    origin: TurnOrigin,
    body: TurnRequest,
    waitSeconds: number | undefined,
    left: AbortSignal,
  ): Promise<SentTurn> {
    const jobId = newId();
    // The watch is opened first: a quick worker may be done before this process learns of the commit.
    const watch = this.waiter.watch(jobId);
    try {
      const { userMessage, job, replayed, allowance } = await this.accept(origin, body, jobId);
      const accepted = { userMessage, job: asAccepted(job), message: null, replayed, allowance };
      if (waitSeconds === undefined || (waitSeconds === 0 && !replayed)) return accepted;
      try {
        const found = replayed
          ? await this.jobs.getAtRest(origin.userId, job.id, waitSeconds, left)
          : await this.jobs.waitFor(watch, origin.userId, jobId, waitSeconds, left);
        const seen = replayed && job.status === 'succeeded' ? userMessage : asAnswered(userMessage, found.message);
        return { userMessage: seen, replayed, allowance, ...found };
      } catch (error) {
        // The turn is accepted, so the client must learn of its job even if the database is away now.
        if (isStoreAway(error)) return accepted;
        if (error instanceof ServiceError && error.code === 'not_found') throw deleted(job.id);
        throw error;
      }
    } finally {
      watch.close();
    }
  }

  /**
   * Accepts a turn and makes a ticket if necessary, or finds the turn that was accepted for the same key. The turn is committed when this
   * returns.
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `idempotency_key_reused`, `rate_limited`,
   * `budget_exhausted`, `unavailable`
   */
  async accept(origin: TurnOrigin, body: TurnRequest, jobId = newId()): Promise<TakenTurn> {
    return this.acceptance.accept<AcceptedTurn>(origin, jobId, {
      words: 'turn accepted',
      accept: (traceparent) => {
        const turn = { ...origin, jobId, traceparent, content: body.user_message, metadata: body.metadata ?? {} };
        return acceptTurn(this.manager, turn, this.limits.ofUser, this.limits.budgets);
      },
      refusal: async () => {
        await this.chats.get(origin.userId, origin.chatId, origin.assistantSlug);
        await assertTakesTurns(this.manager, origin.chatId);
        return this.limits.refusal(origin.userId);
      },
      earlier: (earlierId) => this.earlier(origin.userId, earlierId),
    });
  }

  /**
   * Finds the turn of an earlier request with the same key, for a client that has received some of its events. If there is no such turn,
   * the request is refused: a new turn would not continue these events.
   * @throws ServiceError `not_found`, `idempotency_key_reused`, `validation_failed`
   */
  async resume(origin: TurnOrigin): Promise<TakenTurn> {
    const kept = await this.kept.find(origin.userId, origin.requestKey);
    if (kept?.jobId) return { ...(await this.earlier(origin.userId, kept.jobId)), replayed: true };
    await this.chats.get(origin.userId, origin.chatId, origin.assistantSlug);
    const wrong =
      origin.requestKey === undefined
        ? 'needs the Idempotency-Key of its turn'
        : 'belongs to no turn that was sent with this Idempotency-Key; without this header the request sends a turn';
    throw invalidField('Last-Event-ID', wrong);
  }

  private async earlier(userId: string, jobId: string): Promise<AcceptedTurn> {
    const { job } = await this.jobs.get(userId, jobId);
    this.jobs.wakeAgain(job);
    const [userMessage] = await this.manager.query<MessageRow[]>(
      `SELECT ${messageColumns('m')} FROM messages m WHERE id = $1`,
      [job.userMessageId],
    );
    // The chat was deleted at this moment.
    if (userMessage === undefined) throw notFound('chat');
    return { userMessage, job, allowance: undefined };
  }
}

/** A user's message after its turn has its reply. If the reply is left out of later prompts, so is the message. */
function asAnswered(userMessage: MessageRow, reply: MessageRow | null): MessageRow {
  return { ...userMessage, leftOutBy: reply?.leftOutBy ?? userMessage.leftOutBy };
}

/** A turn whose chat was deleted during the wait: the deletion canceled it. */
function deleted(jobId: string): ServiceError {
  return new ServiceError('turn_canceled', 'The turn was canceled: its chat was deleted.', { jobId });
}

/** The answer of a finished turn. @throws ServiceError for a turn without a complete reply */
export function replyOf(sent: SentTurn): MessageRow {
  const { job, message } = sent;
  if (job.status === 'succeeded' && message !== null) return message;
  if (job.status === 'canceled') {
    throw new ServiceError('turn_canceled', 'The turn was canceled.', { jobId: job.id });
  }
  if (isFinal(job.status)) {
    throw assistantFailed(job);
  }
  throw new Error('The turn is not finished.');
}
