import type { ClaimedJob } from '#jobs/claim.js';
import type { HistoryRow } from '#jobs/history.js';
import type { FinishedStep, StepCall } from '#jobs/steps.js';
import { MOST_RESULT_BYTES } from '#jobs/timings.js';
import type { LogFields } from '#process/log-line.js';
import { Call } from '../model/call.js';
import type { Permit } from '../model/circuits.js';
import { onFallback } from '../model/fallback.js';
import { AttemptMeter } from './attempt-meter.js';
import { Draft } from './draft.js';

/**
 * Why an attempt is stopped from outside. `cancel`: a user asks for a cancel, and the attempt writes it, with its whole text. `canceled`:
 * the job's row is canceled already. `lost`: another attempt holds the job. `shutdown`: the worker stops.
 */
export type Stop = 'cancel' | 'canceled' | 'lost' | 'shutdown';

/** One attempt at a job, from its claim to its end: its steps, its draft, its measurements, and its stop signal. */
export class Attempt {
  /** The call of the current step. */
  call: Call;
  /** The finished steps, those of earlier attempts included. */
  readonly steps: FinishedStep[];
  /** The messages of the turn's prompts, newest first. All of its steps have the same. */
  history: readonly HistoryRow[];
  /** The summary of what is before them; null: there is none. */
  summary: string | null;
  /** `seq` of the first of these messages, if this attempt has moved the window; null: it is where it was. */
  movedTo: number | null = null;
  /** The attempt has called the model for a summary. */
  hasSummed = false;
  readonly draft: Draft;
  readonly meter: AttemptMeter;
  /** The fields that identify the attempt in the log. */
  readonly ids: LogFields;
  /** Bytes of the results of all tool calls so far. */
  private resultBytes: number;
  private readonly begunAt = performance.now();
  private readonly stopping = new AbortController();

  /** @param userTag the job's user as the log and the model's provider know it */
  constructor(
    public job: ClaimedJob,
    public permit: Permit,
    readonly userTag: string,
  ) {
    this.steps = [...job.steps];
    this.history = job.history;
    this.summary = job.summary;
    this.resultBytes = job.steps
      .flatMap(({ calls }) => calls ?? [])
      .reduce((sum, { result }) => sum + Buffer.byteLength(result ?? ''), 0);
    this.call = this.newCall();
    this.draft = new Draft(job, this.call);
    this.meter = new AttemptMeter(job);
    this.ids = {
      request_id: job.requestId,
      job_id: job.id,
      attempt: job.attempt,
      chat_id: job.chatId,
      assistant: job.assistant,
      user: userTag,
    };
  }

  /** Aborts when the attempt must stop. */
  get signal(): AbortSignal {
    return this.stopping.signal;
  }

  /** Why the attempt was stopped; undefined: it was not. */
  get stoppedFor(): Stop | undefined {
    return this.signal.reason as Stop | undefined;
  }

  /** Stops the attempt. The first reason counts. */
  stop(why: Stop): void {
    this.stopping.abort(why);
  }

  /** Goes on with the fallback model. The call is the same, since the first model has not answered. */
  fallBack(permit: Permit): void {
    this.job = onFallback(this.job);
    this.permit = permit;
    this.call.model = this.job.model;
  }

  /** Notes that the current step is committed, and begins the next one. */
  finishStep(step: FinishedStep): void {
    this.steps.push(step);
    this.call = this.newCall();
    this.draft.nextStep(this.call);
  }

  /** Takes room for a result of a tool call. @returns false: the results of the turn would be too long together */
  takeResultBytes(bytes: number): boolean {
    if (this.resultBytes + bytes > MOST_RESULT_BYTES) return false;
    this.resultBytes += bytes;
    return true;
  }

  /** Replaces the tool calls of the last finished step. */
  setCalls(calls: readonly StepCall[]): void {
    const last = this.steps.at(-1);
    if (last !== undefined) this.steps[this.steps.length - 1] = { ...last, calls };
  }

  private newCall(): Call {
    const call = new Call(this.job.maxOutputTokens, () => this.permit.answered());
    call.model = this.job.model;
    return call;
  }

  /** Log fields on the attempt so far: {@link ids}, its duration, the tokens of its last call. */
  progress(): LogFields {
    const { inputTokens, outputTokens } = this.call.figuresSoFar;
    return {
      ...this.ids,
      ms: Math.round(performance.now() - this.begunAt),
      ...(inputTokens !== null && { input_tokens: inputTokens }),
      ...(outputTokens !== null && { output_tokens: outputTokens }),
    };
  }
}
