import { type Message, type Remedy, remedyFor, type TurnError } from '@rejoinder/client';

const HELP: Readonly<Record<Remedy, string>> = {
  shorten: 'A shorter message helps.',
  try_later: 'Try again later.',
  another_message: 'It may help to say it in other words.',
  operator: 'Those who run the service have to act; the worker’s log says more.',
};

/** Why a turn has no reply, and what helps. */
export function failureOf({ message, job }: TurnError): string {
  if (job.error === null) return message;
  const { code } = job.error;
  const help = code === 'action_expired' ? 'Send it again, and answer in time.' : HELP[remedyFor(code)];
  return `${message} [${code}, job ${job.id}]\n${help}`;
}

/** Why a reply is incomplete; undefined for a complete one. */
export function endingOf({ status, stop_reason, stop_details, content }: Message): string | undefined {
  if (status !== 'incomplete') return undefined;
  switch (stop_reason) {
    case 'canceled':
      return 'Stopped; the reply so far is kept.';
    case 'max_tokens':
      return 'Cut off: the reply has reached its greatest length (max_output_tokens of the assistant).';
    case 'model_context_window_exceeded':
      return 'Cut off: the chat left the model no room for more.';
    case 'refusal': {
      const refused = content.trim() === '' ? 'The model refused to answer' : 'The model refused to go on';
      const why = stop_details?.explanation?.trim() || stop_details?.category?.trim();
      return why ? `${refused}: ${why}` : `${refused}.`;
    }
    default:
      return `The reply ended early (${stop_reason}).`;
  }
}
