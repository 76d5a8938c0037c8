import type { FinishReason, UIMessageChunk } from 'ai';
import { RejoinderError } from '../errors.js';
import type { JobEvents } from '../job-events.js';
import { isFinal, type Job, type Message } from '../types.js';
import { metadataOf, type RejoinderMetadata } from './messages.js';

/**
 * Text that was shown is no longer part of the reply: its attempt was lost and another one begins, or less of it was kept. A UI message
 * stream can only add text, so it ends here. `resumeStream()` shows the reply anew, from its beginning.
 */
export class RestartError extends RejoinderError {
  override readonly name = 'RestartError';
}

/**
 * The events of a job as the chunks of a UI message stream.
 * @throws RestartError when text that was shown would have to be taken back, and what `events` throw
 */
export async function* chunksOf(events: JobEvents): AsyncGenerator<UIMessageChunk<RejoinderMetadata>, void, undefined> {
  let id: string | undefined;
  /**
   * Text that came before the job's id. A page that may not read the headers learns the id from an event, and the first event may be text.
   */
  let held = '';
  let shown = '';
  function* show(text: string): Generator<UIMessageChunk<RejoinderMetadata>> {
    if (id === undefined || text === '') return;
    if (shown === '') yield { type: 'text-start', id };
    yield { type: 'text-delta', id, delta: text };
    shown += text;
  }
  for await (const event of events) {
    if (id === undefined) {
      id = events.jobId ?? (event.type === 'message' ? (event.message.job_id ?? undefined) : undefined);
      if (id !== undefined) yield { type: 'start', messageId: id, messageMetadata: { job_id: id } };
    }
    switch (event.type) {
      case 'delta':
        held += event.text;
        if (id === undefined) break;
        yield* show(held);
        held = '';
        break;
      case 'reset':
        held = held.slice(0, event.offset);
        if (shown.length > event.offset) throw new RestartError('The reply starts over.');
        break;
      case 'message':
        held = rest(event.message.content, shown);
        yield* show(held);
        yield { type: 'message-metadata', messageMetadata: metadataOf(event.message) };
        break;
      case 'job':
        yield* stateOf(event.job, shown);
        // A failed turn is a chunk here, not an exception.
        if (isFinal(event.job)) return;
        break;
    }
  }
}

/** The chunks that a state of the job adds to a reply of which `shown` is shown. */
function* stateOf(job: Job, shown: string): Generator<UIMessageChunk<RejoinderMetadata>> {
  const { id, status, attempts, error, assistant_message } = job;
  const messageMetadata: RejoinderMetadata = { job_status: status, attempts, ...(error && { error }) };
  if (!isFinal(job)) {
    // A `start` leaves `useChat` in status `submitted`, in which pages show that they wait.
    if (shown === '') yield { type: 'start', messageId: id, messageMetadata };
    else yield { type: 'message-metadata', messageMetadata };
    return;
  }
  // A canceled turn may keep no text.
  if (status === 'canceled' && assistant_message === null) rest('', shown);
  if (shown !== '') yield { type: 'text-end', id };
  if (status === 'failed') {
    yield { type: 'message-metadata', messageMetadata };
    yield { type: 'error', errorText: error?.message ?? 'The turn failed.' };
  } else {
    yield { type: 'finish', finishReason: finishReasonOf(assistant_message), messageMetadata };
  }
}

/** The part of the kept text that is not shown yet. @throws RestartError when `kept` does not begin with `shown` */
function rest(kept: string, shown: string): string {
  if (!kept.startsWith(shown)) throw new RestartError('Less of the reply was kept than was shown.');
  return kept.slice(shown.length);
}

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  refusal: 'content-filter',
};

function finishReasonOf(message: Message | null): FinishReason {
  return FINISH_REASONS[message?.stop_reason ?? ''] ?? 'other';
}
