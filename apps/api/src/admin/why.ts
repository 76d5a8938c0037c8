import type { components } from '#contract/openapi.gen.js';
import type { JobRow } from '#database/columns.js';
import type { Hold } from '#jobs/holds.js';
import { LONGEST_LIFE_SECONDS } from '#jobs/timings.js';

type JobReason = components['schemas']['JobReason'];

/** The facts besides a job's row that explain its state. */
export interface Surroundings {
  /** The database's clock, which sets the row's times. */
  readonly now: Date;
  /** Dispatch is paused. */
  readonly paused: boolean;
  /** Why workers do not call the job's model at the moment, if they do not. */
  readonly hold?: Hold | undefined;
  /** The names of the tools whose calls wait for a person. */
  readonly waitingFor?: readonly string[];
}

const IN_A_MOMENT = 'a worker ends it within seconds';

/** Why a job is in its state: a code, and a sentence that explains it. */
export function why(job: JobRow, { now, paused, hold, waitingFor = [] }: Surroundings): JobReason {
  const attempts = `${job.attempts} ${job.attempts === 1 ? 'attempt' : 'attempts'}`;
  switch (job.status) {
    case 'succeeded':
      return { code: 'succeeded', message: `It has its reply, after ${attempts}.` };
    case 'canceled':
      return { code: 'canceled', message: 'Somebody canceled it.' };
    case 'failed':
      return { code: 'failed', message: `It failed after ${attempts} (${job.errorCode}): ${job.errorMessage ?? ''}` };
    case 'running':
      return running(job, now, paused);
    case 'queued':
      return queued(job, now, paused, hold);
    case 'requires_action':
      return waiting(job, now, waitingFor);
  }
}

function running(job: JobRow, now: Date, paused: boolean): JobReason {
  const until = job.leaseUntil ?? now;
  if (until > now) {
    const message = `Attempt ${job.attempts} is under way; its worker sent a heartbeat within the last seconds.`;
    return { code: 'running', message };
  }
  const lost = `The lease of attempt ${job.attempts} ran out ${seconds(until, now)} ago: its worker died or froze`;
  if (isTooOld(job, now) || job.attemptsLeft === 0) {
    return { code: 'out_of_time', message: `${lost}, and no other may follow: ${IN_A_MOMENT}.` };
  }
  if (paused) return { code: 'dispatch_paused', message: `${lost}; dispatch is paused, and no other takes it over.` };
  return { code: 'lease_ran_out', message: `${lost}; another worker takes it over.` };
}

function queued(job: JobRow, now: Date, paused: boolean, hold: Hold | undefined): JobReason {
  if (isTooOld(job, now)) return { code: 'out_of_time', message: `Its hour is over: ${IN_A_MOMENT}.` };
  if (paused) return { code: 'dispatch_paused', message: 'Dispatch is paused: no attempt begins.' };
  if (hold !== undefined) return heldBack(hold, now);
  if (job.availableAt > now) {
    const again = job.attempts === 0 ? 'Its first attempt' : `After ${job.attempts}, the next attempt`;
    return { code: 'waiting_for_moment', message: `${again} is due in ${seconds(now, job.availableAt)}.` };
  }
  return { code: 'waiting_for_worker', message: 'It is due and waits for a worker that has room.' };
}

function waiting(job: JobRow, now: Date, tools: readonly string[]): JobReason {
  const since = job.actionSince ?? now;
  const until = job.actionExpiresAt ?? now;
  const what = tools.length === 0 ? 'a tool call' : tools.join(', ');
  const message =
    `It waits for its user, or an operator, to decide ${what}, or for the result, since ${since.toISOString()}. ` +
    `It fails in ${seconds(now, until)}.`;
  return { code: 'waiting_for_person', message };
}

function heldBack({ scope, code, message, since, until }: Hold, now: Date): JobReason {
  const which = scope === 'all' ? 'calls' : `calls (${scope})`;
  const again = `The next try is due in ${seconds(now, until)}.`;
  const text = `${message} Workers hold ${which} back since ${since.toISOString()} (${code}).`;
  if (code === 'model_unavailable') return { code: 'waiting_for_model', message: `${text} ${again}` };
  return { code: 'waiting_for_operator', message: `${text} An operator has to act. ${again}` };
}

function isTooOld(job: JobRow, now: Date): boolean {
  return (
    now.getTime() - (job.requeuedAt ?? job.createdAt).getTime() > (LONGEST_LIFE_SECONDS + job.waitedSeconds) * 1_000
  );
}

function seconds(from: Date, to: Date): string {
  return `${Math.max(0, Math.ceil((to.getTime() - from.getTime()) / 1_000))} s`;
}
