import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { commitStep, type NewToolCall } from '#jobs/steps.js';
import { MOST_CONTINUATIONS } from '#jobs/timings.js';
import { onlyAwaitPersons } from '#jobs/tool-calls.js';
import type { Reply } from '#jobs/transitions.js';
import type { Shown } from '../model/answer.js';
import { logLine } from '#process/log-line.js';
import { Circuits } from '../model/circuits.js';
import { isForFallback, onFallback } from '../model/fallback.js';
import { type Answered, Model, type Narrow } from '../model/model.js';
import { ModelFault } from '../model/model-fault.js';
import type { Attempt } from './attempt.js';
import type { Draft } from './draft.js';
import { plannedCalls } from './planned-calls.js';
import { ReplyPublisher } from './publisher.js';
import { replyOf } from './reply.js';
import { ToolCalls } from './tool-calls.js';
import { Windows } from './windows.js';
import { written } from './written.js';

/** Makes the steps of a turn: each calls the model, commits the answer and runs its tool calls, until an answer is the last. */
@Injectable()
export class Steps {
  private readonly logger = new Logger(Steps.name);

  constructor(
    private readonly manager: EntityManager,
    private readonly model: Model,
    private readonly publisher: ReplyPublisher,
    private readonly toolCalls: ToolCalls,
    private readonly circuits: Circuits,
    private readonly windows: Windows,
  ) {}

  /**
   * Makes the remaining steps.
   * @returns undefined: the job waits for a person
   * @throws ModelFault, or the reason for which the attempt was stopped
   */
  async run(attempt: Attempt): Promise<Reply | undefined> {
    if (!(await this.settleCalls(attempt))) return undefined;
    await this.windows.open(attempt);
    for (;;) {
      const answered = await this.call(attempt);
      if (!goesOn(attempt, answered)) return replyOf(answered.answer, attempt);
      const waits = await this.commit(attempt, answered);
      if (waits || !(await this.settleCalls(attempt))) return undefined;
    }
  }

  /** Brings the calls of the last finished step to their results. An earlier attempt may have left some. @returns false: the job waits */
  private async settleCalls(attempt: Attempt): Promise<boolean> {
    return (attempt.steps.at(-1)?.calls ?? null) === null || (await this.toolCalls.settle(attempt));
  }

  /** Calls the model for the next step. In the first one, the fallback model answers if the model is overloaded or gone. */
  private async call(attempt: Attempt): Promise<Answered> {
    try {
      return await this.ask(attempt);
    } catch (error) {
      const { job, permit, steps, signal } = attempt;
      if (job.fallbackModel === null || steps.length > 0 || signal.aborted || !isForFallback(error)) throw error;
      this.logger.warn(
        logLine('the model is overloaded or gone: the fallback model answers', {
          ...attempt.progress(),
          code: error.code,
        }),
      );
      permit.failed(error);
      attempt.fallBack(this.circuits.begin(onFallback(job)));
      return this.ask(attempt);
    }
  }

  private ask(attempt: Attempt): Promise<Answered> {
    const { job, call, draft, meter, signal, history, summary, steps } = attempt;
    signal.throwIfAborted();
    const request = { ...job, user: attempt.userTag, mayCallTools: mayCall(attempt), history, summary, steps };
    const shown = into(draft, () => this.publisher.touch(draft));
    const narrow: Narrow = (length) => this.windows.narrow(attempt, length);
    return meter.during(() => this.model.answer(request, call, signal, shown, narrow), call, this.model.provider);
  }

  /** @returns whether the job waits for a person now */
  private async commit(attempt: Attempt, { answer }: Answered): Promise<boolean> {
    const { job, call, draft, meter, steps } = attempt;
    const calls = await callsOf(attempt, answer);
    const figures = call.figures();
    const stopReason = answer.stopReason ?? '';
    const { blocks: content, otherParts } = answer;
    const step = { content, stopReason, text: answer.content.toWellFormed(), otherParts };
    const text = draft.endStep();
    const waits = onlyAwaitPersons(calls);
    const seconds = waits ? job.actionSeconds : undefined;
    const windowFromSeq = attempt.movedTo ?? job.windowFromSeq ?? 1;
    const isOurs = await written(() =>
      commitStep(
        this.manager,
        job.id,
        job.attempt,
        { ...step, calls, step: steps.length, draft: text, windowFromSeq, seconds },
        figures,
      ),
    );
    if (!isOurs) {
      attempt.stop('lost');
      attempt.signal.throwIfAborted();
    }
    meter.callEnded('completed', figures);
    const begun = calls.map((each) => ({ ...each, attempt: null }));
    attempt.finishStep({ ...step, calls: begun.length === 0 ? null : begun });
    return waits;
  }
}

/** Takes what an answer shows into the draft, and has it published. */
function into(draft: Draft, publish: () => void): Shown {
  return {
    text: (text) => {
      draft.add(text);
      publish();
    },
    reasoning: (text) => {
      draft.addReasoning(text);
      publish();
    },
    source: (source) => {
      draft.addSource(source);
      publish();
    },
  };
}

/** The model may ask for tools, except in the last step that the turn may have. */
function mayCall({ job, steps }: Attempt): boolean {
  return job.tools.length > 0 && steps.length + 1 < job.maxSteps;
}

async function callsOf(attempt: Attempt, answer: Answered['answer']): Promise<NewToolCall[]> {
  if (!asksForTools(attempt, answer)) return [];
  // Turns without tools do not load the compiler of schemas.
  const { checkBy } = await import('#tools/json-schema.js');
  return plannedCalls(answer.toolUses, attempt.job.tools, checkBy);
}

function asksForTools(attempt: Attempt, { stopReason, toolUses }: Answered['answer']): boolean {
  return stopReason === 'tool_use' && toolUses.length > 0 && mayCall(attempt);
}

/** Whether another step follows: after tool calls, or to continue a paused answer. @throws ModelFault when it paused too often */
function goesOn(attempt: Attempt, { answer }: Answered): boolean {
  if (asksForTools(attempt, answer)) return true;
  if (answer.stopReason !== 'pause_turn' || answer.blocks.length === 0) return false;
  const { steps } = attempt;
  const others = steps.findLastIndex(({ stopReason }) => stopReason !== 'pause_turn');
  if (steps.length - 1 - others < MOST_CONTINUATIONS) return true;
  throw new ModelFault('answer_paused', 'The model paused its answer again and again.');
}
