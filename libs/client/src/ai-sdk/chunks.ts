import type { FinishReason, UIMessage, UIMessageChunk } from 'ai';
import { RejoinderError } from '../errors.js';
import type { JobEvents } from '../job-events.js';
import { isFinal, isWaiting, type Job, type Message, type ToolCall } from '../types.js';
import { metadataOf, type RejoinderMetadata, sourcesOf } from './messages.js';
import { ToolChunks } from './tool-calls.js';

/**
 * Text that was shown is no longer part of the reply: its attempt was lost and another one begins, or less of it was kept. A UI message
 * stream can only add text, so it ends here. `resumeStream()` shows the reply anew, from its beginning.
 */
export class RestartError extends RejoinderError {
  override readonly name = 'RestartError';
}

type Chunk = UIMessageChunk<RejoinderMetadata>;

/**
 * The events of a job as the chunks of a UI message stream. The stream ends with the job, or as soon as the job waits for a person: the page
 * answers, and the next stream goes on with the same message.
 * @param message what the page has of the turn, if it has a part of it already; the chunks add the rest
 * @throws RestartError when text that was shown would have to be taken back, and what `events` throw
 */
export async function* chunksOf(events: JobEvents, message?: UIMessage): AsyncGenerator<Chunk, void, undefined> {
  let id: string | undefined;
  /**
   * Text and tool calls that came before the job's id. A page that may not read the headers learns the id from an event, and the first
   * event may be another.
   */
  let held = '';
  let heldCalls: ToolCall[] = [];
  const reply = new ShownReply(message);
  for await (const event of events) {
    if (id === undefined) {
      id = events.jobId ?? (event.type === 'message' ? (event.message.job_id ?? undefined) : undefined);
      if (id !== undefined) yield { type: 'start', messageId: id, messageMetadata: { job_id: id } };
    }
    switch (event.type) {
      case 'delta':
        // What the page has of the turn comes again.
        held += event.text.slice(Math.max(0, reply.text.length - event.offset));
        break;
      case 'tool_call':
        heldCalls.push(event.toolCall);
        break;
      case 'reset':
        held = held.slice(0, Math.max(0, event.offset - reply.text.length));
        if (reply.text.length > event.offset) throw new RestartError('The reply starts over.');
        break;
      case 'message':
        held = rest(event.message.content, reply.text);
        break;
    }
    if (id === undefined) continue;
    yield* reply.add(id, held);
    for (const call of heldCalls) yield* reply.addCall(id, call);
    held = '';
    heldCalls = [];
    if (event.type === 'message') {
      yield* sourcesOf(event.message.parts);
      yield { type: 'message-metadata', messageMetadata: metadataOf(event.message) };
    } else if (event.type === 'job') {
      yield* stateOf(event.job, reply);
      // A failed turn is a chunk here, not an exception.
      if (isFinal(event.job) || isWaiting(event.job)) return;
    }
  }
}

/** The part of a reply that the page has. */
class ShownReply {
  /** The text of all its steps. */
  text: string;
  private readonly calls: ToolChunks;
  private isTextOpen = false;
  /** The present step has calls: what follows them is another step. */
  private hasCalls: boolean;
  /** The step of the last call that came; 0: none. */
  private step = 0;

  constructor(message?: UIMessage) {
    const parts = message?.parts ?? [];
    this.text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
    this.calls = new ToolChunks(message);
    this.hasCalls = parts.at(-1)?.type === 'dynamic-tool';
  }

  get isEmpty(): boolean {
    return this.text === '' && !this.hasCalls;
  }

  *add(id: string, text: string): Generator<Chunk> {
    if (text === '') return;
    if (this.hasCalls) yield* this.beginStep();
    if (!this.isTextOpen) yield { type: 'text-start', id };
    this.isTextOpen = true;
    yield { type: 'text-delta', id, delta: text };
    this.text += text;
  }

  *addCall(id: string, call: ToolCall): Generator<Chunk> {
    yield* this.endText(id);
    if (this.hasCalls && call.step > this.step && !this.calls.has(call)) yield* this.beginStep();
    this.step = Math.max(this.step, call.step);
    if (!this.calls.has(call)) this.hasCalls = true;
    yield* this.calls.of(call);
  }

  *endText(id: string): Generator<Chunk> {
    if (this.isTextOpen) yield { type: 'text-end', id };
    this.isTextOpen = false;
  }

  private *beginStep(): Generator<Chunk> {
    yield { type: 'start-step' };
    this.hasCalls = false;
  }
}

/** The chunks that a state of the job adds to what is shown of its reply. */
function* stateOf(job: Job, reply: ShownReply): Generator<Chunk> {
  const { id, status, attempts, error, assistant_message } = job;
  const messageMetadata: RejoinderMetadata = { job_status: status, attempts, ...(error && { error }) };
  if (isWaiting(job)) {
    yield* reply.endText(id);
    yield { type: 'finish', finishReason: 'tool-calls', messageMetadata };
    return;
  }
  if (!isFinal(job)) {
    // A `start` leaves `useChat` in status `submitted`, in which pages show that they wait.
    if (reply.isEmpty) yield { type: 'start', messageId: id, messageMetadata };
    else yield { type: 'message-metadata', messageMetadata };
    return;
  }
  // A canceled turn may keep no text.
  if (status === 'canceled' && assistant_message === null) rest('', reply.text);
  yield* reply.endText(id);
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
