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
import { logLine } from '#process/log-line.js';
import { type Span, traceparentOf } from '#telemetry/traces.js';
import { turnEnded } from '#telemetry/turns.js';
import { ChatsService } from '../chats/chats.service.js';
import { hasWaited } from '../http/client-left.js';
import type { Preconditions } from '../http/preconditions.js';
import { acceptingSpan } from '../turns/accepting-span.js';
import { assertTakesTurns } from '../turns/refusal.js';
import { KeptRequests } from '../idempotency/kept-requests.js';
import { Limits } from '../limits/limits.js';
import { Capacity } from '../limits/capacity.js';
import { RowQueues } from '../limits/row-queues.js';
import { DueJobs } from './due-jobs.js';
import { type JobWatch, JobWaiter } from './job-waiter.js';
import { presentJob } from './present-job.js';

/** A request for a reply. */
export type ReplyOrigin = Pick<NewTurn, 'chatId' | 'userId' | 'requestId' | 'requestKey'> & {
  /** The request's trace context. */
  readonly span: Span | undefined;
};

/** A job after a wait. */
export interface AwaitedJob extends JobAndMessage {
  /** There was no wait: too many requests of its user wait. */
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
        const { job: earlier } = await this.get(userId, kept.jobId);
        this.wakeAgain(earlier);
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

  /** Makes a ticket for a job that has not begun: the process that accepted it may have died before it made one. */
  wakeAgain(job: JobRow): void {
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

  /** Reads a job of the caller's. @throws ServiceError `not_found` */
  async get(userId: string, jobId: string): Promise<JobAndMessage> {
    const found = await readJob(this.manager, jobId, userId);
    if (found === undefined) throw notFound('job');
    return found;
  }

  /** Waits until a job of the caller's is final, for at most `seconds`, or until `left` says that the client has left. */
  async getFinal(userId: string, jobId: string, seconds: number, left: AbortSignal): Promise<AwaitedJob> {
    const watch = this.waiter.watch(jobId);
    try {
      const found = await this.get(userId, jobId);
      return isFinal(found.job.status) ? found : await this.waitFor(watch, userId, jobId, seconds, left);
    } finally {
      watch.close();
    }
  }

  /** Waits on an open watch like {@link waitUntilFinal}, unless the user has too many waiting requests: then the job is read at once. */
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
      return await this.waitUntilFinal(watch, userId, jobId, seconds, left);
    } finally {
      leave();
    }
  }

  /** Waits on an open watch until the job is final or the time is up, and reads it. */
  private async waitUntilFinal(
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
   * Cancels a job; a second cancel is fine. The worker of a running job cancels it, since it alone has all of the text. If that takes too
   * long, we do.
   * @throws ServiceError `not_found`, `precondition_failed`, `invalid_transition` (it has ended otherwise)
   */
  async cancel(userId: string, jobId: string, preconditions?: Preconditions): Promise<JobAndMessage> {
    if (preconditions?.any === true) {
      // It needs no lock: from here on the job can only go forward, and an ended job is not canceled.
      const { job, message } = await this.get(userId, jobId);
      preconditions.assertMayChange(presentJob(job, message));
    }
    const watch = this.waiter.watch(jobId, { untilTheEnd: true });
    try {
      if (await askCancel(this.manager, jobId, userId)) {
        // It is carried out even if the client has left.
        const never = new AbortController().signal;
        await this.waitUntilFinal(watch, userId, jobId, CANCEL_MS / 1_000, never);
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
