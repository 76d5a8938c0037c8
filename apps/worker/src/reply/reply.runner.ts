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
  private readonly running = new Set<(why: Stop) => void>();

  constructor(
    private readonly manager: EntityManager,
    private readonly model: Model,
    private readonly feed: JobFeed,
    private readonly doorbell: Doorbell,
    private readonly publisher: ReplyPublisher,
  ) {}

  /** Runs the job's next attempt if it is due and free; a bell that rings for nothing does nothing. */
  async run(jobId: string): Promise<void> {
    const job = await claim(this.manager, jobId);
    if (job !== undefined) await this.attempt(job);
  }

  /** Stops every attempt and puts the jobs back, for other workers to take at once. */
  stopAll(): void {
    for (const stop of [...this.running]) stop('shutdown');
  }

  private async attempt(job: ClaimedJob): Promise<void> {
    const controller = new AbortController();
    let why: Stop | undefined;
    const stop = (reason: Stop): void => {
      why ??= reason;
      controller.abort();
    };
    this.running.add(stop);
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
      if (why === 'shutdown') await this.putBack(job, line);
      else if (why !== undefined) this.logger.log(`stopped (${why}) ${line}`);
      else await this.fail(job, error, line);
    } finally {
      unfollow();
      unpublish();
      this.running.delete(stop);
    }
  }

  private async putBack(job: ClaimedJob, line: string): Promise<void> {
    this.logger.log(`handed back ${line}`);
    if (await handBack(this.manager, job.id, job.attempt)) await this.doorbell.ring(job.id, job.attempt + 1);
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
    if (state === 'queued') await this.doorbell.ring(job.id, job.attempt + 1, undefined, delayMs);
  }
}
