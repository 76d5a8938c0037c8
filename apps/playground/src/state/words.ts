import { type JobErrorCode, type Message, type Remedy, remedyFor } from '@rejoinder/client';
import type { Problem } from './problem';

/*
 * The service's codes, in sentences for people. Each table is typed by the contract, so a new code does not compile until it has its
 * sentence.
 */

const FAILURES: Readonly<Record<JobErrorCode, string>> = {
  model_unavailable: 'The model could not be reached, or is overloaded.',
  model_unauthorized: 'The model does not accept this service’s key.',
  model_budget: 'The service’s account with the model has no credit left.',
  model_misconfigured: 'The assistant’s model is gone, or does not take the assistant’s settings.',
  model_rejected: 'The model does not take this message.',
  message_too_long: 'The message is longer than the model can read.',
  context_exceeded: 'The message leaves the model no room to answer.',
  answer_empty: 'The model’s answer was empty, twice.',
  answer_broken: 'The model’s answer broke off each time.',
  answer_paused: 'The model paused its answer again and again.',
  attempts_exhausted: 'Each attempt to answer was lost on the way.',
  expired: 'There was no reply within an hour.',
  action_expired: 'Nobody decided, or gave the answer, in time.',
  internal: 'Something is wrong with the service itself.',
};

const REMEDIES: Readonly<Record<Remedy, string>> = {
  shorten: 'A shorter message helps.',
  try_later: 'Try again later.',
  another_message: 'It may help to say it in other words.',
  operator: 'Those who run the service have to act.',
};

/** Why a turn has no reply, and what helps. A code that is unknown here keeps the service's message. */
export function failureOf({ code, message }: Problem): {
  readonly sentence: string;
  readonly help: string | undefined;
} {
  if (code === undefined || !isKnown(code)) return { sentence: message, help: undefined };
  return { sentence: FAILURES[code], help: REMEDIES[remedyFor(code)] };
}

function isKnown(code: string): code is JobErrorCode {
  return Object.hasOwn(FAILURES, code);
}

/** Why a reply is incomplete. */
export interface Ending {
  readonly label: string;
  readonly sentence: string;
  /** The model's own words, if it gives any. They are shown as plain text. */
  readonly quote: string | undefined;
}

/** Why a message is incomplete; undefined for a complete one. */
export function endingOf(message: Message): Ending | undefined {
  if (message.status !== 'incomplete') return undefined;
  const details = message.stop_details;
  const isBlank = message.content.trim() === '';
  switch (message.stop_reason) {
    case 'canceled':
      return { label: 'Stopped', sentence: 'You stopped this reply.', quote: undefined };
    case 'max_tokens':
      return { label: 'Cut off', sentence: 'The reply has reached its greatest length.', quote: undefined };
    case 'model_context_window_exceeded':
      return { label: 'Cut off', sentence: 'The chat left the model no room for more.', quote: undefined };
    case 'failed':
      return { label: 'Broke off', sentence: 'The reply failed after the calls above.', quote: undefined };
    case 'refusal':
      return {
        label: 'Refused',
        sentence: isBlank ? 'The model refused to answer.' : 'The model refused to go on.',
        quote: details?.explanation?.trim() || details?.category?.trim() || undefined,
      };
    default:
      return { label: 'Incomplete', sentence: 'The reply ended early.', quote: undefined };
  }
}
