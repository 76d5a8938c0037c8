import { Injectable, Logger } from '@nestjs/common';
import { logLine } from '#process/log-line.js';
import { bytesBefore, Model, type ModelRequest } from '../model/model.js';
import { sendsCalls } from '../model/prompt.js';
import { type Measured, type Moved, type NamedLength, narrowed, opened } from '../model/window.js';
import type { Attempt } from './attempt.js';
import { Summaries } from './summaries.js';

/**
 * Decides which messages of a long chat the prompts of a turn have. That is decided before the turn's first step, and the other steps have
 * the same: the model refuses thoughts behind another prompt than theirs.
 */
@Injectable()
export class Windows {
  private readonly logger = new Logger(Windows.name);

  constructor(
    private readonly model: Model,
    private readonly summaries: Summaries,
  ) {}

  /** Moves the window before the turn's first step, if the prompt would be too long. @throws the reason for which the attempt was stopped */
  async open(attempt: Attempt): Promise<void> {
    const { job } = attempt;
    if (attempt.steps.length > 0) return;
    const moved = opened({
      ...this.measured(attempt),
      contextTokens: job.contextTokens,
      sameDefinition: job.contextVersion === job.assistantVersion,
      windowFromSeq: job.windowFromSeq ?? 1,
      isCut: job.historyIsCut,
    });
    if (moved !== undefined) await this.move(attempt, moved);
  }

  /**
   * Moves the window after the model has found the prompt too long.
   * @param length the prompt's length, if the model named it
   * @returns the next prompt's history; undefined: there is nothing to leave out
   * @throws the reason for which the attempt was stopped
   */
  async narrow(
    attempt: Attempt,
    length: NamedLength | undefined,
  ): Promise<Pick<ModelRequest, 'history' | 'summary'> | undefined> {
    const moved = narrowed(this.measured(attempt), length);
    if (moved === undefined) return undefined;
    await this.move(attempt, moved);
    const { history, summary } = attempt;
    return { history, summary };
  }

  /** Moves the window. If the assistant wants that, a summary takes the place of what is left out. */
  private async move(attempt: Attempt, moved: Moved): Promise<void> {
    const { job, history } = attempt;
    const fallen = history.slice(moved.kept);
    attempt.history = history.slice(0, moved.kept);
    attempt.movedTo = attempt.history.at(-1)?.seq ?? null;
    this.logger.log(logLine('the window of the chat moves', { ...attempt.ids, count: fallen.length }));
    if (job.compaction === 'summary') await this.summaries.make(attempt, fallen, moved, this.limit(attempt));
  }

  private measured({ job, history, summary }: Attempt): Measured {
    const { systemPrompt, tools } = job;
    return {
      history,
      withCalls: sendsCalls(tools),
      bytesBefore: () => bytesBefore({ systemPrompt, tools, summary }),
      limit: this.limit({ job }),
    };
  }

  /** Most tokens of a prompt: as the assistant's definition says, or less if its model takes less. */
  private limit({ job }: Pick<Attempt, 'job'>): number {
    return Math.min(job.contextLimit, this.model.limits.of(job.model));
  }
}
