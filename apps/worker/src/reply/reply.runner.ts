import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { UserTags } from '#database/user-tags.js';
import { isStoreAway } from '#errors/store-away.js';
import { CancelFeed } from '#feed/cancel-feed.js';
import { JobFeed } from '#feed/job-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import { settleCall } from '#jobs/ledger.js';
import { backoffMs, LONGEST_WRITING_MS, MAX_ATTEMPTS, WRITE_AGAIN_MS } from '#jobs/timings.js';
import { cancelAttempt, finish, giveUp, handBack } from '#jobs/transitions.js';
import { type LogFields, line } from '#process/log-line.js';
import { Doorbell } from '#queue/doorbell.js';
import { AttemptMeter } from '../metrics/attempts.js';
import { Call } from '../model/call.js';
import { Circuits, type Permit } from '../model/circuits.js';
import { Model } from '../model/model.js';
import { knownStopReason } from '../model/labels.js';
import { ModelFault } from '../model/model-fault.js';
import { Draft } from './draft.js';
import { Heartbeats } from './heartbeats.js';
import { ReplyPublisher } from './publisher.js';
import { SHUTDOWN, Slots } from './slots.js';

/**
 * Why an attempt was stopped from outside: somebody asks for its cancel, which is its own to write; or the row is canceled, or
 * another's, already; or the worker stops.
 */
type Stop = 'cancel' | 'canceled' | 'lost' | typeof SHUTDOWN;

/** Fields of the log for an attempt; with its call, also how it went. */
type About = (call?: Call) => LogFields;

/** Runs the attempts of claimed jobs: model, message. */
@Injectable()
export class ReplyRunner {
  private readonly logger = new Logger(ReplyRunner.name);
  private more: () => void = () => undefined;

  constructor(
    private readonly manager: EntityManager,
    private readonly model: Model,
    private readonly circuits: Circuits,
    private readonly jobFeed: JobFeed,
    private readonly cancelFeed: CancelFeed,
    private readonly doorbell: Doorbell,
    private readonly publisher: ReplyPublisher,
    private readonly heartbeats: Heartbeats,
    private readonly slots: Slots,
    private readonly users: UserTags,
  ) {}

  /** Names the one who is told, by the end of an attempt, that other jobs are due. */
  onMore(more: () => void): void {
    this.more = more;
  }

  /** Begins an attempt that was claimed; it has a slot until it has ended. */
  run(job: ClaimedJob, permit: Permit): void {
    this.slots.take(job.id, async (controller) => {
      try {
        await this.attempt(job, permit, controller);
      } catch (error) {
        // The store is away for too long, or a fault of ours: its lease runs out, and it is taken over.
        this.logger.error(line('attempt given up', { job_id: job.id }, error));
      } finally {
        permit.unused();
      }
    });
  }

  /** Aborting says why, as a {@link Stop}; the first reason counts. */
  private async attempt(job: ClaimedJob, permit: Permit, controller: AbortController): Promise<void> {
    const stop = (why: Stop): void => controller.abort(why);
    const call = new Call(job.maxOutputTokens, () => permit.answered());
    const draft = new Draft(job, call);
    const lease = this.heartbeats.keep(draft, () => stop('lost'));
    const unfollow = [
      this.jobFeed.follow(job.id, (status) => {
        if (status === 'canceled') stop('canceled');
        else if (status === undefined) lease.beat();
      }),
      this.cancelFeed.follow(job.id, () => stop('cancel')),
    ];
    const meter = new AttemptMeter(job);
    const unpublish = this.publisher.open(job, draft, () => meter.published());
    const about = this.about(job);
    this.logger.log(line('attempt begun', about()));
    try {
      controller.signal.throwIfAborted();
      const request = {
        model: job.model,
        maxOutputTokens: job.maxOutputTokens,
        thinking: job.thinking,
        effort: job.effort,
        systemPrompt: job.systemPrompt,
        history: job.history,
      };
      const reply = await meter.during(
        () =>
          this.model.reply(request, call, controller.signal, (text) => {
            draft.add(text);
            this.publisher.touch(draft);
          }),
        () => call.told,
      );
      const figures = call.figures();
      const finished = await this.written(() => finish(this.manager, job.id, job.attempt, reply, figures));
      const kept = finished !== undefined;
      if (kept) meter.ended('completed', figures, 'succeeded');
      else await this.settle(job, call, meter);
      if (finished?.more === true) this.more();
      this.logger.log(
        line(kept ? 'replied' : 'fenced off', { ...about(call), stop_reason: knownStopReason(reply.stopReason) }),
      );
    } catch (error) {
      const why = controller.signal.reason as Stop | undefined;
      if (why === undefined) await this.fail(job, call, permit, error, meter, about);
      else {
        // The model call has ended by now; the lease need not be held any longer, and a late heartbeat must not get in between.
        await lease.stop();
        await this.end(why, job, call, draft, meter, about);
      }
    } finally {
      await lease.stop();
      for (const off of unfollow) off();
      unpublish();
      meter.left();
    }
  }

  /** Ends an attempt that was stopped. */
  private async end(
    why: Stop,
    job: ClaimedJob,
    call: Call,
    draft: Draft,
    meter: AttemptMeter,
    about: About,
  ): Promise<void> {
    this.logger.log(line(`stopped (${why})`, about(call)));
    const { id, attempt } = job;
    switch (why) {
      case 'cancel': {
        const figures = call.figures();
        const canceled = await this.written(() => cancelAttempt(this.manager, id, attempt, draft.whole(), figures));
        if (canceled) meter.ended('canceled', figures, 'canceled');
        else await this.settle(job, call, meter);
        return;
      }
      case SHUTDOWN: {
        const figures = call.figures();
        const handedBack = await this.written(() => handBack(this.manager, id, attempt, figures));
        if (!handedBack) return this.settle(job, call, meter);
        meter.ended('handed_back', figures, false);
        await this.doorbell.call();
        return;
      }
      default:
        return this.settle(job, call, meter);
    }
  }

  private async fail(
    job: ClaimedJob,
    call: Call,
    permit: Permit,
    error: unknown,
    meter: AttemptMeter,
    about: About,
  ): Promise<void> {
    const fault =
      error instanceof ModelFault
        ? error
        : new ModelFault('internal', 'The reply could not be made.', { most: MAX_ATTEMPTS }, { cause: error });
    const blamed = fault.outage || fault.operator !== undefined;
    const counts = blamed && permit.failed(fault);
    const held = counts && this.circuits.holds(job);
    // What is held back here is due at once: the circuit has it tried, and a worker for which the model is there takes it.
    const delayMs = Math.max(fault.retryAfterMs ?? 0, held ? 0 : backoffMs(job.attempt));
    const failed = {
      code: fault.code,
      message: fault.message,
      most: fault.most,
      leavesOut: fault.leavesOut,
      // Neither the model's outage nor the database's is the job's fault. (A model that cannot be reached looks like either.)
      free: held || (!(error instanceof ModelFault) && isStoreAway(error)),
      delayMs,
    };
    const figures = call.figures();
    const state = await this.written(() => giveUp(this.manager, job.id, job.attempt, failed, figures));
    if (state === undefined) await this.settle(job, call, meter);
    else meter.ended('failed', figures, state === 'failed' && 'failed');
    if (state === 'queued') meter.retried(fault.code);
    // A fault of our own: where it came up, not where it was made one of the model's.
    const told = fault.code === 'internal' ? (fault.cause ?? fault) : fault;
    this.logger.warn(line(`attempt failed: ${state ?? 'fenced off'}`, { ...about(call), code: fault.code }, told));
    if (state === 'queued' && delayMs > 0) await this.doorbell.ring(job.id, job.attempt + 1, delayMs);
  }

  /** What each line of the log says of an attempt. */
  private about(job: ClaimedJob): About {
    const begun = performance.now();
    const ids = {
      request_id: job.requestId,
      job_id: job.id,
      attempt: job.attempt,
      chat_id: job.chatId,
      assistant: job.assistant,
      user: this.users.tagOf(job.userId),
    };
    return (call) => ({
      ...ids,
      ...(call !== undefined && {
        ms: Math.round(performance.now() - begun),
        ...(call.told.inputTokens !== null && { input_tokens: call.told.inputTokens }),
        ...(call.told.outputTokens !== null && { output_tokens: call.told.outputTokens }),
      }),
    });
  }

  /** Adds what the call came to, whose job somebody else has ended or begun anew. */
  private async settle(job: ClaimedJob, call: Call, meter: AttemptMeter): Promise<void> {
    const figures = call.figures();
    const outcome = await this.written(() => settleCall(this.manager, job.id, job.attempt, figures));
    meter.ended(outcome === 'canceled' ? 'canceled' : 'lost', figures, false);
  }

  /**
   * Writes how an attempt ended, again and again while the database is away: a reply that was paid for is not thrown away for
   * that. Should the first write have been done and its answer lost, the second finds nothing to do.
   */
  private async written<T>(write: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + LONGEST_WRITING_MS;
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (!isStoreAway(error) || Date.now() > deadline) throw error;
        await sleep(WRITE_AGAIN_MS);
      }
    }
  }
}
