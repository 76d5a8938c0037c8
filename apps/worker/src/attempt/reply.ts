import { MOST_EMPTY_ANSWERS } from '#jobs/timings.js';
import type { Reply } from '#jobs/transitions.js';
import type { Answer } from '../model/answer.js';
import type { Call } from '../model/call.js';
import { ModelFault, rejected } from '../model/model-fault.js';

/** The turn of a reply. */
interface OfTurn {
  /** The call that made the answer. */
  readonly call: Pick<Call, 'contextTokens'>;
  /** `seq` of the first message that its prompt had, if the window has moved. */
  readonly movedTo: number | null;
  /** The steps that were finished before. */
  readonly steps: { readonly length: number };
}

/**
 * The reply that a turn's last answer makes.
 * @throws ModelFault if it makes none
 */
export function replyOf(answer: Answer, { call, movedTo, steps }: OfTurn): Reply {
  const { model, stopReason, stopDetails } = answer;
  const content = answer.text.toWellFormed();
  const lastText = answer.content.toWellFormed();
  const reply = {
    content,
    lastText,
    otherParts: answer.otherParts,
    model,
    stopReason: stopReason ?? '',
    stopDetails: null,
    windowFromSeq: movedTo,
    contextTokens: call.contextTokens,
    steps: steps.length,
  };
  switch (stopReason) {
    case 'refusal':
      return { ...reply, status: 'incomplete', stopDetails, leftOut: true };
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return { ...reply, status: 'incomplete', leftOut: false };
    case 'tool_use':
      throw rejected('The model asked for a tool that it may not use now.');
    case 'pause_turn':
      throw new ModelFault('answer_paused', 'The model paused its answer before it began.');
    default:
      if (answer.isBlank) {
        throw new ModelFault('answer_empty', 'The model’s answer was empty.', { most: MOST_EMPTY_ANSWERS });
      }
      return { ...reply, status: 'complete', leftOut: false };
  }
}
