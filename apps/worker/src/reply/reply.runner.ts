import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { JobFeed } from '#feed/job-feed.js';
import { backoffMs } from '#jobs/timings.js';
import { claim, type ClaimedJob, finish, giveUp, handBack } from '#jobs/transitions.js';
import { Doorbell } from '#queue/doorbell.js';
import { Model } from '../model/model.js';
import { ModelFault } from '../model/model-fault.js';
import { Draft } from './draft.js';
import { readHistory, toModelMessages } from './history.js';
import { ReplyPublisher } from './publisher.js';

/** Why an attempt was stopped from outside. */
type Stop = 'canceled' | 'lost' | 'shutdown';

/** Runs one attempt of a job: claim, model, message. */
@Injectable()
export class ReplyRunner {
  private readonly logger = new Logger(ReplyRunner.name);
  /** The attempts of this process, by job. */
  private readonly running = new Map<string, { controller: AbortController; ended: Promise<void> }>();

  constructor(
    private readonly manager: EntityManager,
    private readonly model: Model,
    private readonly feed: JobFeed,
    private readonly doorbell: Doorbell,
    private readonly publisher: ReplyPublisher,
  ) {}

  /**
   * Runs the job's next attempt if it is due and free; a ring for nothing does nothing. A job that this process runs is not
   * free, even if its lease ran out while the database was away: its attempt goes on with the next heartbeat.
   */
  async run(jobId: string): Promise<void> {
    if (this.running.has(jobId)) return;
    const job = await claim(this.manager, jobId);
    if (job === undefined) return;
    const controller = new AbortController();
    const ended = this.attempt(job, controller).finally(() => this.running.delete(job.id));
    this.running.set(job.id, { controller, ended });
    await ended;
  }

  /** Stops every attempt and puts the jobs back, for other workers to take at once. */
  stopAll(): void {
    for (const { controller } of this.running.values()) controller.abort('shutdown' satisfies Stop);
  }

  /** Resolves when no attempt runs. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all([...this.running.values()].map(({ ended }) => ended));
  }

  /** Aborting says why, as a {@link Stop}; the first reason counts. */
  private async attempt(job: ClaimedJob, controller: AbortController): Promise<void> {
    const stop = (why: Stop): void => controller.abort(why);
    const unfollow = this.feed.follow(job.id, (status) => {
      if (status === 'canceled') stop('canceled');
    });
    const draft = new Draft(this.manager, job, () => stop('lost'));
    const unpublish = this.publisher.open(job, draft);
    const line = `job=${job.id} attempt=${job.attempt} chat=${job.chatId} request=${job.requestId}`;
    const begun = Date.now();
    try {
      const history = await readHistory(this.manager, job.chatId, job.answersSeq);
      const reply = await this.model.reply(
        {
          model: job.model,
          maxOutputTokens: job.maxOutputTokens,
          systemPrompt: job.systemPrompt,
          messages: toModelMessages(history),
        },
        controller.signal,
        (text) => {
          draft.add(text);
          this.publisher.touch(draft);
        },
      );
      await draft.stop();
      const kept = await finish(this.manager, job.id, job.attempt, reply);
      this.logger.log(`${kept ? 'replied' : 'fenced off'} ${line} ms=${Date.now() - begun} stop=${reply.stopReason}`);
    } catch (error) {
      await draft.stop();
      const why = controller.signal.reason as Stop | undefined;
      if (why === 'shutdown') await this.putBack(job, line);
      else if (why !== undefined) this.logger.log(`stopped (${why}) ${line}`);
      else await this.fail(job, error, line);
    } finally {
      unfollow();
      unpublish();
    }
  }

  private async putBack(job: ClaimedJob, line: string): Promise<void> {
    this.logger.log(`handed back ${line}`);
    if (await handBack(this.manager, job.id, job.attempt)) {
      await this.doorbell.ring(job.id, job.attempt + 1, { ahead: true });
    }
  }

  private async fail(job: ClaimedJob, error: unknown, line: string): Promise<void> {
    const fault =
      error instanceof ModelFault
        ? error
        : new ModelFault('internal', 'The reply could not be made.', true, undefined, { cause: error });
    const delayMs = Math.max(fault.retryAfterMs ?? 0, backoffMs(job.attempt));
    const state = await giveUp(this.manager, job.id, job.attempt, {
      code: fault.code,
      message: fault.message,
      retryable: fault.retryable,
      delayMs,
    });
    const cause = fault.cause instanceof Error ? `: ${fault.cause.name} ${fault.cause.message.slice(0, 300)}` : '';
    this.logger.warn(`${state ?? 'fenced off'} ${line} ${fault.code} ${fault.message}${cause}`);
    if (state === 'queued') await this.doorbell.ring(job.id, job.attempt + 1, { delayMs });
  }
}
