import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { JobRow } from '#database/columns.js';
import type { MessageRole } from '#database/entities/message.entity.js';
import { newId } from '#database/ids.js';
import { notFound, ServiceError } from '#errors/service-error.js';
import { type AcceptedReply, acceptReply, asAccepted, isConflict, type NewTurn } from '#jobs/accept.js';
import { type JobAndMessage, readJob } from '#jobs/read.js';
import { isFinal } from '#jobs/states.js';
import { CANCEL_MS } from '#jobs/timings.js';
import { askCancel, cancel } from '#jobs/transitions.js';
import { line } from '#process/log-line.js';
import { type Span, traceparentOf } from '#telemetry/traces.js';
import { turnEnded } from '#telemetry/turns.js';
import { ChatsService } from '../chats/chats.service.js';
import { hasWaited } from '../http/client-left.js';
import type { Preconditions } from '../http/preconditions.js';
import { acceptingSpan } from '../turns/accepting-span.js';
import { assertTakesTurns } from '../turns/refusal.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { Limits } from '../limits/limits.js';
import { Load } from '../limits/load.js';
import { RowQueues } from '../limits/row-queues.js';
import { DueJobs } from './due-jobs.js';
import { type JobWatch, JobWaiter } from './job-waiter.js';
import { presentJob } from './present-job.js';

/** Who asks for a reply, and how. */
export type ReplyOrigin = Pick<NewTurn, 'chatId' | 'userId' | 'requestId' | 'requestKey'> & {
  /** The request's place in a trace. */
  readonly span: Span | undefined;
};

/** A job that was waited for. */
export interface AwaitedJob extends JobAndMessage {
  /** It was not: too many requests of its user wait. */
  readonly atOnce?: true;
}

@Injectable()
export class JobsService {
  private readonly logger = new Logger(JobsService.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly due: DueJobs,
    private readonly chats: ChatsService,
    private readonly waiter: JobWaiter,
    private readonly kept: KeptRequests,
    private readonly limits: Limits,
    private readonly load: Load,
    private readonly rows: RowQueues,
  ) {}

  /**
   * Asks for a reply to the user messages stored so far; a request whose key is known gets the job that there is.
   * @returns the job as it was accepted
   * @throws ServiceError `not_found`, `chat_not_active`, `turn_in_progress`, `invalid_transition` (nothing to answer),
   * `idempotency_key_reused`, `rate_limited`, `unavailable`
   */
  async requestReply(asked: ReplyOrigin): Promise<AcceptedReply & { replayed: boolean }> {
    const { userId, chatId, requestId } = asked;
    const jobId = newId();
    const accepting = acceptingSpan(asked.span, jobId);
    const traceparent = traceparentOf(accepting);
    // What was in the way may be gone by the time it is looked at: then once more.
    for (let tries = 0; tries < 3; tries++) {
      const full = await this.load.refusal();
      const accepted = full === undefined ? await this.tryToAccept({ jobId, traceparent, ...asked }) : undefined;
      if (accepted !== undefined) {
        this.load.accepted();
        this.logger.log(line('reply asked for', { request_id: requestId, job_id: jobId, chat_id: chatId }));
        this.due.add(jobId);
        accepting?.end();
        return { ...accepted, replayed: false };
      }
      const refusal = (await this.refusal(userId, chatId)) ?? full;
      // Looked at after it: what is in the way may be the job of a twin.
      const kept = await this.kept.find(userId, asked.requestKey);
      if (kept?.jobId) {
        const { job: earlier } = await this.get(userId, kept.jobId);
        this.callAgain(earlier);
        return { job: asAccepted(earlier), allowance: undefined, replayed: true };
      }
      // A deletion in between may have taken the key, and it was the key that was in the way: then what is there now counts.
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

  /** Has a worker called for a job that nobody has begun: whoever accepted it may have died before that. */
  callAgain(job: JobRow): void {
    if (job.status === 'queued' && job.attempts === 0) this.due.add(job.id);
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
  async getFinal(userId: string, jobId: string, seconds: number, left: AbortSignal): Promise<AwaitedJob> {
    const watch = this.waiter.watch(jobId);
    try {
      const found = await this.get(userId, jobId);
      return isFinal(found.job.status) ? found : await this.waitFor(watch, userId, jobId, seconds, left);
    } finally {
      watch.close();
    }
  }

  /** Waits on an open watch like {@link follow}, unless the user has too many requests that wait: then it is read as it is. */
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
      return await this.follow(watch, userId, jobId, seconds, left);
    } finally {
      leave();
    }
  }

  /** Waits on an open watch until the job is final or the time is up, and reads it. */
  private async follow(
    watch: JobWatch,
    userId: string,
    jobId: string,
    seconds: number,
    left: AbortSignal,
  ): Promise<JobAndMessage> {
    const deadline = Date.now() + seconds * 1_000;
    for (;;) {
      const began = performance.now();
      const maybe = await watch.untilMaybeFinal(deadline, left);
      hasWaited(left, performance.now() - began);
      const found = await this.get(userId, jobId);
      if (!maybe || isFinal(found.job.status)) return found;
    }
  }

  /**
   * Cancels; cancelling twice is fine. A running job is canceled by its worker, which alone has all of the text; by us if
   * that takes too long.
   * @throws ServiceError `not_found`, `precondition_failed`, `invalid_transition` (it ended otherwise before)
   */
  async cancel(userId: string, jobId: string, preconditions?: Preconditions): Promise<JobAndMessage> {
    if (preconditions?.any === true) {
      // Not under a lock: from here on the job can only go forward, and what has ended is not canceled.
      const { job, message } = await this.get(userId, jobId);
      preconditions.assertMayChange(presentJob(job, message));
    }
    const watch = this.waiter.watch(jobId, { untilTheEnd: true });
    try {
      if (await askCancel(this.manager, jobId, userId)) {
        // It is carried out even if whoever asked for it has left.
        const never = new AbortController().signal;
        await this.follow(watch, userId, jobId, CANCEL_MS / 1_000, never);
      }
    } finally {
      watch.close();
    }
    const ended = await this.rows.run({ job: jobId }, () => cancel(this.manager, jobId, userId));
    if (ended !== undefined) turnEnded(ended, 'canceled');
    const found = await this.get(userId, jobId);
    if (found.job.status !== 'canceled') {
      throw new ServiceError('invalid_transition', `The job is ${found.job.status}; that is final.`, { jobId });
    }
    return found;
  }
}
