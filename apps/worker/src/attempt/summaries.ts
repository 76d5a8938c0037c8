import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { HistoryRow } from '#jobs/history.js';
import { type CallFigures, settleCall } from '#jobs/ledger.js';
import { endSummary, openSummary, storeSummary } from '#jobs/summaries.js';
import { SUMMARY_MS } from '#jobs/timings.js';
import { logLine } from '#process/log-line.js';
import type { Answer, Shown } from '../model/answer.js';
import { Call } from '../model/call.js';
import { Model, type ModelRequest, type Narrow } from '../model/model.js';
import { ModelFault, rejected } from '../model/model-fault.js';
import { conversation, type SummarySettings, summarySettings } from '../model/summary.js';
import type { Moved } from '../model/window.js';
import type { Attempt, Stop } from './attempt.js';
import type { Outcome } from './attempt-meter.js';
import { written } from './written.js';

/** Users see nothing of a summary. */
const UNSEEN: Shown = { text: () => undefined, reasoning: () => undefined, source: () => undefined };

/** The part of a prompt's limit that the messages to sum up may take. Almost always they take less, and all of them are summed up. */
const LARGEST_PART = 0.8;

/** The outcome of a call that was stopped from outside. */
const STOPPED = {
  cancel: 'canceled',
  canceled: 'canceled',
  lost: 'lost',
  shutdown: 'handed_back',
} as const satisfies Record<Stop, Outcome>;

/** How a call ended that made no summary. `code`: of the fault, if it failed. */
interface End {
  readonly outcome: Exclude<Outcome, 'completed'>;
  readonly code?: string;
}

/** Makes summaries of the messages that windows leave behind. One that fails only means that the messages are left out without it. */
@Injectable()
export class Summaries {
  private readonly logger = new Logger(Summaries.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly model: Model,
  ) {}

  /**
   * Sums up the messages that the attempt's window has left behind, and stores the summary together with the window. An attempt makes at
   * most one summary.
   *
   * @param fallen these messages, newest first
   * @param limit most tokens of a prompt
   * @throws the reason for which the attempt was stopped
   */
  async make(attempt: Attempt, fallen: readonly HistoryRow[], moved: Moved, limit: number): Promise<void> {
    const { job, summary: earlier } = attempt;
    if (attempt.hasSummed) return;
    const mostBytes = (limit * LARGEST_PART) / moved.tokensPerByte;
    const text = conversation(fallen, earlier, mostBytes);
    if (text === undefined) return;
    attempt.hasSummed = true;
    const settings = summarySettings(limit, job);
    const request = requestOf(attempt, settings, text);
    if (!(await this.open(attempt, Math.ceil(Buffer.byteLength(text) * moved.tokensPerByte)))) return;

    const call = new Call(settings.maxOutputTokens, () => attempt.permit.answered());
    let most = mostBytes;
    const narrow: Narrow = async () => {
      most /= 2;
      const less = conversation(fallen, earlier, most);
      return less === undefined || less.length >= text.length ? undefined : { history: [rowOf(less)] };
    };
    let content: string;
    try {
      const { answer } = await attempt.meter.during(
        () => this.model.answer(request, call, attempt.signal, UNSEEN, narrow),
        call,
        this.model.provider,
        'summary',
      );
      content = contentOf(answer, settings);
    } catch (error) {
      return this.failed(attempt, call, error);
    }
    await this.store(attempt, call, content, moved);
    this.logger.log(
      logLine('a summary takes the place of the oldest messages', { ...attempt.ids, count: fallen.length }),
    );
  }

  /** Opens the ledger's entry. @returns false: the job's attempts have paid for too many summaries that came to nothing */
  private async open(attempt: Attempt, inputTokens: number): Promise<boolean> {
    const { job } = attempt;
    const state = await written(() =>
      openSummary(this.manager, job.id, job.attempt, { model: job.model, inputTokens }),
    );
    if (state === 'lost') stopAsLost(attempt);
    return state === 'opened';
  }

  private async store(attempt: Attempt, call: Call, content: string, moved: Moved): Promise<void> {
    const { job, history, meter } = attempt;
    const figures = figuresOf(call);
    const summary = {
      content,
      model: job.model,
      windowFromSeq: history.at(-1)?.seq ?? 1,
      contextTokens: moved.contextTokens + (figures.outputTokens ?? 0),
    };
    if (!(await written(() => storeSummary(this.manager, job.id, job.attempt, summary, figures)))) {
      await this.end(attempt, figures, { outcome: 'lost' });
      stopAsLost(attempt);
    }
    meter.callEnded('completed', figures, 'summary');
    attempt.summary = content;
  }

  /** Ends the entry of a call that made no summary. @throws the reason for which the attempt was stopped */
  private async failed(attempt: Attempt, call: Call, error: unknown): Promise<void> {
    const { stoppedFor } = attempt;
    if (stoppedFor !== undefined) await this.end(attempt, figuresOf(call), { outcome: STOPPED[stoppedFor] });
    attempt.signal.throwIfAborted();
    const code = error instanceof ModelFault ? error.code : 'internal';
    await this.end(attempt, figuresOf(call), { outcome: 'failed', code });
    this.logger.warn(logLine('the oldest messages are left out without a summary', { ...attempt.ids, code }, error));
  }

  /** Ends the entry of a call. If the job is no longer this attempt's, the statement finds out why. */
  private async end({ job, meter }: Attempt, figures: CallFigures, end: End): Promise<void> {
    const outcome = await written(async () => {
      if (end.outcome === 'lost') return settleCall(this.manager, job.id, job.attempt, 0, figures);
      await endSummary(this.manager, job.id, job.attempt, end, figures);
      return end.outcome;
    });
    meter.callEnded(outcome === undefined || outcome === 'running' ? 'lost' : outcome, figures, 'summary');
  }
}

function requestOf({ job, userTag }: Attempt, settings: SummarySettings, text: string): ModelRequest {
  const { systemPrompt, maxOutputTokens, thinking, effort } = settings;
  return {
    model: job.model,
    systemPrompt,
    maxOutputTokens,
    thinking,
    effort,
    cacheTtl: null,
    user: userTag,
    tools: [],
    mayCallTools: false,
    history: [rowOf(text)],
    steps: [],
    totalMs: SUMMARY_MS,
  };
}

const rowOf = (text: string): HistoryRow => ({ seq: 1, role: 'user', content: text });

/** @throws ModelFault if the answer is no summary */
function contentOf({ text, stopReason }: Answer, { mostBytes }: SummarySettings): string {
  const content = text.toWellFormed().trim();
  if (stopReason === 'refusal') throw rejected('The model refused to sum up.');
  if (stopReason === 'max_tokens' || Buffer.byteLength(content) > mostBytes) {
    throw new ModelFault('answer_broken', 'The summary is too long.');
  }
  if (content === '') throw new ModelFault('answer_empty', 'The summary is empty.');
  return content;
}

/** The first text of a summary is not the first of the reply. */
function figuresOf(call: Call): CallFigures {
  return { ...call.figures(), firstTextMs: null };
}

function stopAsLost(attempt: Attempt): never {
  attempt.stop('lost');
  throw attempt.signal.reason;
}
