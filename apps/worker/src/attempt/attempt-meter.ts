import { Counter, Gauge, Histogram } from 'prom-client';
import type { CallPurpose } from '#database/entities/model-call.entity.js';
import type { CallFigures } from '#jobs/ledger.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { EndedTurn } from '#jobs/ending.js';
import { registry, TURN_SECONDS } from '#telemetry/registry.js';
import { turnEnded } from '#telemetry/turns.js';
import type { Answer } from '../model/answer.js';
import type { Call } from '../model/call.js';
import { AttemptTrace } from './attempt-trace.js';

const registers = [registry];

const wait = new Histogram({
  name: 'rejoinder_turn_wait_seconds',
  help: 'From the moment an attempt was due to the moment a worker began it.',
  labelNames: ['assistant'],
  buckets: [0.005, 0.01, 0.025, ...TURN_SECONDS],
  registers,
});

const firstText = new Histogram({
  name: 'rejoinder_turn_first_text_seconds',
  help: 'From the moment a turn was accepted to the first published piece of its reply.',
  labelNames: ['assistant'],
  buckets: TURN_SECONDS,
  registers,
});

const running = new Gauge({
  name: 'rejoinder_running_attempts',
  help: 'Attempts that this worker runs.',
  registers,
});

const calls = new Counter({
  name: 'rejoinder_model_calls_total',
  help: 'Calls of the model that have ended, by outcome.',
  labelNames: ['model', 'outcome'],
  registers,
});

const callDuration = new Histogram({
  name: 'rejoinder_model_call_duration_seconds',
  help: 'From the beginning of a call of the model to its end.',
  labelNames: ['model', 'outcome'],
  buckets: TURN_SECONDS.slice(0, -2),
  registers,
});

const tokens = new Counter({
  name: 'rejoinder_model_tokens_total',
  help: 'Tokens of all calls, as the model reports them; estimated for calls whose total it never reported.',
  labelNames: ['assistant', 'direction'],
  registers,
});

const summaries = new Counter({
  name: 'rejoinder_summaries_total',
  help: 'Calls for summaries of what prompts leave out, by outcome. They count as calls of the model, too.',
  labelNames: ['assistant', 'outcome'],
  registers,
});

const toolCalls = new Counter({
  name: 'rejoinder_tool_calls_total',
  help: 'Calls of tools that this worker has made and that have ended, by tool and outcome.',
  labelNames: ['assistant', 'tool', 'outcome'],
  registers,
});

const toolCallDuration = new Histogram({
  name: 'rejoinder_tool_call_duration_seconds',
  help: 'From the beginning of a call of a tool to its result.',
  labelNames: ['assistant', 'tool', 'outcome'],
  buckets: TURN_SECONDS.slice(0, -2),
  registers,
});

const retries = new Counter({
  name: 'rejoinder_turn_retries_total',
  help: 'Attempts that failed and are tried again, by the code of the fault.',
  labelNames: ['code'],
  registers,
});

/** How a call ended. */
export type Outcome = 'completed' | 'failed' | 'canceled' | 'handed_back' | 'lost';

/** The figures of one attempt, from its claim to its end. */
export class AttemptMeter {
  private readonly claimed = performance.now();
  /** How long the current step's call of the model took, in seconds; undefined: the step has made no call. */
  private callSeconds: number | undefined;
  private textCame = false;
  private readonly trace: AttemptTrace;

  constructor(private readonly job: ClaimedJob) {
    this.trace = new AttemptTrace(job);
    running.inc();
    wait.observe({ assistant: job.assistant }, job.waitedSeconds);
  }

  /** Notes that a piece of text was published. Only the turn's first piece is measured. */
  published(): void {
    if (this.textCame || this.job.hadText) return;
    this.textCame = true;
    firstText.observe({ assistant: this.job.assistant }, this.ageSeconds());
  }

  /** Measures a call of the model. @param provider for the trace */
  async during<T extends { readonly answer: Answer }>(
    ask: () => Promise<T>,
    call: Call,
    provider: string,
    purpose: CallPurpose = 'reply',
  ): Promise<T> {
    const began = performance.now();
    try {
      return await this.trace.call(ask, call, provider, purpose);
    } finally {
      this.callSeconds = (performance.now() - began) / 1_000;
    }
  }

  /** Measures a call of a tool. @param tool its name in the definition */
  async tool<T extends { readonly isError: boolean }>(
    tool: string,
    callId: string,
    run: (traceparent: string | null) => Promise<T>,
  ): Promise<T> {
    const { assistant } = this.job;
    const began = performance.now();
    const ended = (outcome: string): void => {
      toolCalls.inc({ assistant, tool, outcome });
      toolCallDuration.observe({ assistant, tool, outcome }, (performance.now() - began) / 1_000);
    };
    try {
      const result = await this.trace.tool(tool, callId, run);
      ended(result.isError ? 'failed' : 'succeeded');
      return result;
    } catch (error) {
      ended('stopped');
      throw error;
    }
  }

  /** Notes that the end of the call is written. @param outcome as the ledger has it */
  callEnded(outcome: Outcome, figures: CallFigures, purpose: CallPurpose = 'reply'): void {
    const { assistant } = this.job;
    const model = figures.model ?? this.job.model;
    if (this.callSeconds === undefined) return;
    calls.inc({ model, outcome });
    callDuration.observe({ model, outcome }, this.callSeconds);
    if (purpose === 'summary') summaries.inc({ assistant, outcome });
    tokens.inc({ assistant, direction: 'input' }, figures.inputTokens ?? 0);
    tokens.inc({ assistant, direction: 'output' }, figures.outputTokens ?? 0);
    this.callSeconds = undefined;
  }

  /**
   * Notes that the attempt's end is written.
   * @param outcome the outcome of its call, as the ledger has it
   * @param turn the turn, if the attempt ended it
   */
  ended(outcome: Outcome, figures: CallFigures, turn?: EndedTurn): void {
    this.trace.ended(outcome);
    this.callEnded(outcome, figures);
    if (turn === undefined) return;
    // A short reply may be complete before its first piece is published. Then its end counts as its first text.
    if (turn.status === 'succeeded') this.published();
    turnEnded(turn);
  }

  /** Notes that the attempt ended because the turn waits for a person. */
  waits(): void {
    this.trace.ended('waits');
  }

  /** Notes that the attempt failed and the job is tried again. */
  retried(code: string): void {
    retries.inc({ code });
  }

  /** Notes that the attempt no longer runs here. */
  left(): void {
    running.dec();
    this.trace.left();
  }

  /** Seconds since the turn was accepted: by the database's clock up to the claim, by this process's clock after it. */
  private ageSeconds(): number {
    return this.job.ageSeconds + (performance.now() - this.claimed) / 1_000;
  }
}
