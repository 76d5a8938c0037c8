import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { isStoreAway } from '#errors/store-away.js';
import { CancelFeed } from '#feed/cancel-feed.js';
import { JobFeed } from '#feed/job-feed.js';
import { settleCall } from '#jobs/ledger.js';
import { backoffMs, HOLD_MS, LONGEST_WRITING_MS, WRITE_AGAIN_MS } from '#jobs/timings.js';
import { cancelAttempt, claim, type ClaimedJob, finish, giveUp, handBack, hold } from '#jobs/transitions.js';
import { Doorbell } from '#queue/doorbell.js';
import { Call } from '../model/call.js';
import { Circuit, type Pass } from '../model/circuit.js';
import { Model } from '../model/model.js';
import { ModelFault } from '../model/model-fault.js';
import { Draft } from './draft.js';
import { beginCall, toModelMessages } from './history.js';
import { ReplyPublisher } from './publisher.js';

/**
 * Why an attempt was stopped from outside: somebody asks for its cancel, which is its own to write; or the row is canceled, or
 * another's, already; or the worker stops.
 */
type Stop = 'cancel' | 'canceled' | 'lost' | 'shutdown';

/** Runs one attempt of a job: claim, model, message. */
@Injectable()
export class ReplyRunner {
  private readonly logger = new Logger(ReplyRunner.name);
  /** The attempts of this process, by job. */
  private readonly running = new Map<string, { controller: AbortController; ended: Promise<void> }>();
  /** The jobs that wait for the model to be back. */
  private readonly held = new Set<string>();
  private holding: NodeJS.Timeout | undefined;
  private readonly stopping = new AbortController();

  constructor(
    private readonly manager: EntityManager,
    private readonly model: Model,
    private readonly circuit: Circuit,
    private readonly jobFeed: JobFeed,
    private readonly cancelFeed: CancelFeed,
    private readonly doorbell: Doorbell,
    private readonly publisher: ReplyPublisher,
  ) {
    // Each job that waits listens.
    setMaxListeners(0, this.stopping.signal);
  }

  /**
   * Runs the job's next attempt if it is due and free; a ring for nothing does nothing. A job that this process runs is not
   * free, even if its lease ran out while the database was away: its attempt goes on with the next heartbeat.
   */
  async run(jobId: string): Promise<void> {
    if (this.running.has(jobId)) return;
    const controller = new AbortController();
    const ended = this.next(jobId, controller).finally(() => this.running.delete(jobId));
    this.running.set(jobId, { controller, ended });
    await ended;
  }

  /** Begins nothing that still waits for the model: other workers find it. */
  stopHolding(): void {
    this.stopping.abort();
  }

  /** Stops every attempt and puts the jobs back, for other workers to take at once. */
  stopAll(): void {
    for (const { controller } of this.running.values()) controller.abort('shutdown' satisfies Stop);
  }

  /** Resolves when no attempt runs, nor is about to. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.allSettled([...this.running.values()].map(({ ended }) => ended));
  }

  private async next(jobId: string, controller: AbortController): Promise<void> {
    const pass = await this.enter(jobId);
    if (pass === undefined) {
      // The ticket goes with this process: another for whoever comes next.
      await this.doorbell.ring(jobId, 0, { again: `held-${Date.now()}`, ahead: true });
      return;
    }
    try {
      const job = await claim(this.manager, jobId);
      if (job !== undefined) await this.attempt(job, pass, controller);
    } finally {
      pass.unused();
    }
  }

  /**
   * Waits while the model is away, on this ticket: with all of them taken and waiting, the worker fetches no more. The row is
   * said to be waited with meanwhile, so that the reconciler does not take it for lost.
   */
  private async enter(jobId: string): Promise<Pass | undefined> {
    if (!this.circuit.isOpen) return this.circuit.enter(jobId, this.stopping.signal);
    this.held.add(jobId);
    this.holding ??= setInterval(() => void this.sayHeld([...this.held]), HOLD_MS);
    try {
      void this.sayHeld([jobId]);
      return await this.circuit.enter(jobId, this.stopping.signal);
    } finally {
      this.held.delete(jobId);
      if (this.held.size === 0) {
        clearInterval(this.holding);
        this.holding = undefined;
      }
    }
  }

  /** At worst a ticket too many is made. */
  private async sayHeld(jobIds: string[]): Promise<void> {
    await hold(this.manager, jobIds).catch(() => undefined);
  }

  /** Aborting says why, as a {@link Stop}; the first reason counts. */
  private async attempt(job: ClaimedJob, pass: Pass, controller: AbortController): Promise<void> {
    const stop = (why: Stop): void => controller.abort(why);
    const call = new Call(() => pass.alive());
    const draft = new Draft(this.manager, job, call, () => stop('lost'));
    const unfollow = [
      this.jobFeed.follow(job.id, (status) => {
        if (status === 'canceled') stop('canceled');
        else if (status === undefined) draft.beat();
      }),
      this.cancelFeed.follow(job.id, () => stop('cancel')),
    ];
    const unpublish = this.publisher.open(job, draft);
    const line = `job=${job.id} attempt=${job.attempt} chat=${job.chatId} request=${job.requestId}`;
    const begun = Date.now();
    try {
      controller.signal.throwIfAborted();
      const history = await beginCall(this.manager, job);
      if (history === undefined) return this.logger.log(`fenced off ${line}`);
      const reply = await this.model.reply(
        {
          model: job.model,
          maxOutputTokens: job.maxOutputTokens,
          systemPrompt: job.systemPrompt,
          messages: toModelMessages(history),
        },
        call,
        controller.signal,
        (text) => {
          draft.add(text);
          this.publisher.touch(draft);
        },
      );
      pass.succeeded();
      const kept = await this.written(() => finish(this.manager, job.id, job.attempt, reply, call.told));
      if (!kept) await this.settle(job, call, 'lost');
      this.logger.log(`${kept ? 'replied' : 'fenced off'} ${line} ms=${Date.now() - begun} stop=${reply.stopReason}`);
    } catch (error) {
      const why = controller.signal.reason as Stop | undefined;
      if (why === undefined) await this.fail(job, call, pass, error, line);
      else await this.end(why, job, call, draft, line);
    } finally {
      await draft.stop();
      for (const off of unfollow) off();
      unpublish();
    }
  }

  /** Ends an attempt that was stopped. */
  private async end(why: Stop, job: ClaimedJob, call: Call, draft: Draft, line: string): Promise<void> {
    this.logger.log(`stopped (${why}) ${line}`);
    const { id, attempt } = job;
    // The model call has ended by now; the lease need not be held any longer, and a late heartbeat must not get in between.
    await draft.stop();
    switch (why) {
      case 'cancel':
        if (!(await this.written(() => cancelAttempt(this.manager, id, attempt, draft.whole(), call.told)))) {
          await this.settle(job, call, 'canceled');
        }
        return;
      case 'shutdown':
        if (await this.written(() => handBack(this.manager, id, attempt, call.told))) {
          await this.doorbell.ring(id, attempt + 1, { ahead: true });
        }
        return;
      default:
        return this.settle(job, call, why);
    }
  }

  private async fail(job: ClaimedJob, call: Call, pass: Pass, error: unknown, line: string): Promise<void> {
    const fault =
      error instanceof ModelFault
        ? error
        : new ModelFault('internal', 'The reply could not be made.', true, undefined, { cause: error });
    if (fault.code === 'model_unavailable') pass.failed(fault.retryAfterMs);
    const outage = fault.code === 'model_unavailable' && this.circuit.isOpen;
    const delayMs = Math.max(fault.retryAfterMs ?? 0, backoffMs(job.attempt), outage ? this.circuit.opensInMs : 0);
    const failed = {
      code: fault.code,
      message: fault.message,
      retryable: fault.retryable,
      // Neither the model's outage nor the database's is the job's fault. (A model that cannot be reached looks like either.)
      free: outage || (!(error instanceof ModelFault) && isStoreAway(error)),
      delayMs,
    };
    const state = await this.written(() => giveUp(this.manager, job.id, job.attempt, failed, call.told));
    if (state === undefined) await this.settle(job, call, 'lost');
    const cause = fault.cause instanceof Error ? `: ${fault.cause.name} ${fault.cause.message.slice(0, 300)}` : '';
    this.logger.warn(`${state ?? 'fenced off'} ${line} ${fault.code} ${fault.message}${cause}`);
    if (state === 'queued') await this.doorbell.ring(job.id, job.attempt + 1, { delayMs });
  }

  private settle(job: ClaimedJob, call: Call, outcome: 'canceled' | 'lost'): Promise<void> {
    return this.written(() => settleCall(this.manager, job.id, job.attempt, outcome, call.told));
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
