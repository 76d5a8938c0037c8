import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { commitStep } from '#jobs/steps.js';
import { MOST_CONTINUATIONS } from '#jobs/timings.js';
import type { Reply } from '#jobs/transitions.js';
import { type Answered, Model } from '../model/model.js';
import { ModelFault } from '../model/model-fault.js';
import type { Attempt } from './attempt.js';
import { ReplyPublisher } from './publisher.js';
import { replyOf } from './reply.js';
import { written } from './written.js';

/** Makes the steps of a turn: each calls the model and commits the answer, until an answer is the last. */
@Injectable()
export class Steps {
  constructor(
    private readonly manager: EntityManager,
    private readonly model: Model,
    private readonly publisher: ReplyPublisher,
  ) {}

  /** Makes the remaining steps. @throws ModelFault, or the reason for which the attempt was stopped */
  async run(attempt: Attempt): Promise<Reply> {
    for (;;) {
      const answered = await this.call(attempt);
      if (!goesOn(attempt, answered)) return replyOf(answered.answer, attempt.steps.length);
      await this.commit(attempt, answered);
    }
  }

  private call(attempt: Attempt): Promise<Answered> {
    const { job, call, draft, meter, signal, steps } = attempt;
    signal.throwIfAborted();
    const { model, maxOutputTokens, thinking, effort, systemPrompt, history } = job;
    const request = { model, maxOutputTokens, thinking, effort, systemPrompt, history, steps };
    const onText = (text: string): void => {
      draft.add(text);
      this.publisher.touch(draft);
    };
    return meter.during(() => this.model.answer(request, call, signal, onText), call);
  }

  private async commit(attempt: Attempt, { answer, windowFromSeq }: Answered): Promise<void> {
    const { job, call, draft, meter, steps } = attempt;
    const figures = call.figures();
    const stopReason = answer.stopReason ?? '';
    const step = { content: answer.blocks, stopReason, text: answer.content.toWellFormed() };
    const text = draft.endStep();
    const isOurs = await written(() =>
      commitStep(
        this.manager,
        job.id,
        job.attempt,
        { ...step, step: steps.length, draft: text, windowFromSeq },
        figures,
      ),
    );
    if (!isOurs) {
      attempt.stop('lost');
      attempt.signal.throwIfAborted();
    }
    meter.callEnded('completed', figures);
    attempt.finishStep(step);
  }
}

/** Whether another step follows. A paused answer is continued. @throws ModelFault when that has happened too often */
function goesOn({ steps }: Attempt, { answer }: Answered): boolean {
  if (answer.stopReason !== 'pause_turn' || answer.blocks.length === 0) return false;
  const others = steps.findLastIndex(({ stopReason }) => stopReason !== 'pause_turn');
  if (steps.length - 1 - others < MOST_CONTINUATIONS) return true;
  throw new ModelFault('answer_paused', 'The model paused its answer again and again.');
}
