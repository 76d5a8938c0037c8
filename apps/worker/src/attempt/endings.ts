import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { isStoreAway } from '#errors/store-away.js';
import { releaseOutdated } from '#jobs/holds.js';
import { settleCall } from '#jobs/ledger.js';
import { backoffMs, MAX_ATTEMPTS } from '#jobs/timings.js';
import { cancelAttempt } from '#jobs/cancel.js';
import { finish, giveUp, handBack, type Reply } from '#jobs/transitions.js';
import { logLine } from '#process/log-line.js';
import { WorkerWaker } from '#queue/worker-waker.js';
import { Circuits } from '../model/circuits.js';
import { knownStopReason } from '../model/labels.js';
import { ModelFault } from '../model/model-fault.js';
import type { Attempt, Stop } from './attempt.js';
import { WorkerLife } from './worker-life.js';
import { written } from './written.js';

/** The other jobs, at the moment at which an attempt's end was written. */
export interface Ended {
  /** The statement that wrote the end has seen other due jobs. */
  readonly more: boolean;
}

const NO_MORE: Ended = { more: false };

/** Writes how attempts end: the job's row, the ledger, metrics and log. */
@Injectable()
export class Endings {
  private readonly logger = new Logger(Endings.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly circuits: Circuits,
    private readonly waker: WorkerWaker,
    private readonly life: WorkerLife,
  ) {}

  /** Writes that the model has replied. */
  async succeeded(attempt: Attempt, reply: Reply): Promise<Ended> {
    const { job, call, meter } = attempt;
    const figures = call.figures();
    const finished = await written(() => finish(this.manager, job.id, job.attempt, reply, figures));
    if (finished === undefined) await this.lateFor(attempt);
    else meter.ended('completed', figures, finished);
    const words = finished === undefined ? 'fenced off' : 'replied';
    this.logger.log(logLine(words, { ...attempt.progress(), stop_reason: knownStopReason(reply.stopReason) }));
    return finished ?? NO_MORE;
  }

  /** Notes that the job waits for a person. That is written already. */
  waits(attempt: Attempt): Ended {
    attempt.meter.waits();
    this.logger.log(logLine('the turn waits for a person', attempt.progress()));
    return NO_MORE;
  }

  /** Writes that the attempt was stopped from outside. */
  async stopped(attempt: Attempt, why: Stop): Promise<Ended> {
    this.logger.log(logLine(`attempt stops (${why})`, attempt.progress()));
    if (why === 'cancel') await this.canceled(attempt);
    else if (why === 'shutdown') await this.handedBack(attempt);
    else await this.lateFor(attempt);
    return NO_MORE;
  }

  /** Writes that the attempt failed: the job is tried again later, or ends. */
  async failed(attempt: Attempt, error: unknown): Promise<Ended> {
    const { job, call, meter, permit } = attempt;
    const fault =
      error instanceof ModelFault
        ? error
        : new ModelFault('internal', 'The service could not make the reply.', { most: MAX_ATTEMPTS }, { cause: error });
    const blamed = fault.outage || fault.operator !== undefined;
    const counts = blamed && permit.failed(fault);
    const held = counts && this.circuits.holds(job);
    // A job that a circuit holds back is due at once: the circuit decides when to try it, and another worker may reach the model.
    const delayMs = Math.max(fault.retryAfterMs ?? 0, held ? 0 : backoffMs(job.attempt));
    const failed = {
      steps: attempt.steps.length,
      code: fault.code,
      message: fault.message,
      most: fault.most,
      definitionUnusable: fault.operator === 'model' || fault.operator === 'assistant',
      leavesOut: fault.leavesOut,
      // An outage of the model or of the database is not the job's fault, so the attempt does not count. (An unreachable model looks like
      // either.)
      free: held || (!(error instanceof ModelFault) && isStoreAway(error)),
      delayMs,
    };
    const figures = call.figures();
    const now = await written(() => giveUp(this.manager, job.id, job.attempt, failed, figures));
    const retried = now?.status === 'queued';
    if (now === undefined) await this.lateFor(attempt);
    else meter.ended('failed', figures, now.status === 'queued' ? undefined : now);
    if (retried) meter.retried(fault.code);
    // A fault in our code is logged with its own stack, not with the stack of the ModelFault around it.
    const shown = fault.code === 'internal' ? (fault.cause ?? fault) : fault;
    this.logger.warn(
      logLine(`attempt failed: ${now?.status ?? 'fenced off'}`, { ...attempt.progress(), code: fault.code }, shown),
    );
    if (retried && delayMs > 0) await this.waker.wakeForJob(job.id, job.attempt + 1, delayMs);
    // Last, so that an outage of the database costs neither the log line nor the retry.
    if (failed.definitionUnusable) {
      await written(() => releaseOutdated(this.manager, job.assistant, job.assistantVersion));
    }
    return NO_MORE;
  }

  private async canceled(attempt: Attempt): Promise<void> {
    const { job, call, draft, meter } = attempt;
    const figures = call.figures();
    const cut = { text: draft.whole(), otherParts: draft.otherParts(), windowFromSeq: attempt.movedTo };
    const canceled = await written(() => cancelAttempt(this.manager, job.id, job.attempt, cut, figures));
    if (canceled !== undefined) meter.ended('canceled', figures, canceled);
    else await this.lateFor(attempt);
  }

  private async handedBack(attempt: Attempt): Promise<void> {
    const { job, call, meter } = attempt;
    const figures = call.figures();
    const handedBack = await written(() => handBack(this.manager, job.id, job.attempt, figures, this.life));
    if (!handedBack) return this.lateFor(attempt);
    meter.ended('handed_back', figures);
  }

  /**
   * Handles an end that came too late: the job has ended, or another attempt has begun. The ledger gets the call's figures all the same,
   * since the call is paid for.
   */
  private async lateFor({ job, call, meter, steps }: Attempt): Promise<void> {
    const figures = call.figures();
    const outcome = await written(() => settleCall(this.manager, job.id, job.attempt, steps.length + 1, figures));
    meter.ended(outcome === 'canceled' ? 'canceled' : 'lost', figures);
  }
}
