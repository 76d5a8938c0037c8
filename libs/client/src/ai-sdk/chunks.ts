import type { FinishReason, UIMessage, UIMessageChunk } from 'ai';
import { RejoinderError } from '../errors.js';
import type { JobEvent, JobEvents } from '../job-events.js';
import { reasoningOf } from '../reply-so-far.js';
import { isFinal, isWaiting, type Job, type Message, type SourcePart, type ToolCall } from '../types.js';
import { metadataOf, type RejoinderMetadata, sourceOf } from './messages.js';
import { ToolChunks } from './tool-calls.js';

/**
 * Something that was shown is no longer part of the reply: its attempt was lost and another one begins, or less was kept. A UI message
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
 * @throws RestartError when something that was shown would have to be taken back, and what `events` throw
 */
export async function* chunksOf(events: JobEvents, message?: UIMessage): AsyncGenerator<Chunk, void, undefined> {
  let reply: ShownReply | undefined;
  /** Events that came before the job's id. A page that may not read the headers learns the id from an event, and that may be a later one. */
  let held: JobEvent[] = [];
  for await (const event of events) {
    held = event.type === 'reset' && reply === undefined ? forgotten(held, event) : [...held, event];
    const id = events.jobId ?? (event.type === 'message' ? event.message.job_id : null);
    if (id === null) continue;
    if (reply === undefined) yield { type: 'start', messageId: id, messageMetadata: { job_id: id } };
    reply ??= new ShownReply(id, message);
    for (const each of held.splice(0)) {
      yield* chunksOfEvent(each, reply);
      // A failed turn is a chunk here, not an exception.
      if (each.type === 'job' && (isFinal(each.job) || isWaiting(each.job))) return;
    }
  }
}

function* chunksOfEvent(event: JobEvent, reply: ShownReply): Generator<Chunk> {
  switch (event.type) {
    case 'delta':
      // What the page has of the turn comes again.
      yield* reply.add(event.text.slice(Math.max(0, reply.text.length - event.offset)));
      break;
    case 'reasoning':
      yield* reply.addReasoning(event.text.slice(Math.max(0, reply.reasoning.length - event.offset)));
      break;
    case 'source':
      yield* reply.addSource(event.source);
      break;
    case 'tool_call':
      yield* reply.addCall(event.toolCall);
      break;
    case 'reset':
      if (reply.text.length > event.offset || reply.reasoning.length > event.reasoningOffset)
        throw new RestartError('The reply starts over.');
      break;
    case 'message':
      yield* reply.addReasoning(rest(reasoningOf(event.message), reply.reasoning));
      yield* reply.add(rest(event.message.content, reply.text));
      for (const part of event.message.parts ?? []) if (part.type === 'source') yield* reply.addSource(part);
      yield { type: 'message-metadata', messageMetadata: metadataOf(event.message) };
      break;
    case 'job':
      yield* stateOf(event.job, reply);
      break;
  }
}

/** The events without what another attempt discards. */
function forgotten(events: readonly JobEvent[], reset: Extract<JobEvent, { type: 'reset' }>): JobEvent[] {
  return events.flatMap<JobEvent>((event) => {
    if (event.type === 'source') return [];
    if (event.type !== 'delta' && event.type !== 'reasoning') return [event];
    const end = event.type === 'delta' ? reset.offset : reset.reasoningOffset;
    return end > event.offset ? [{ ...event, text: event.text.slice(0, end - event.offset) }] : [];
  });
}

/** The part of a reply that the page has. */
class ShownReply {
  /** The text of all its steps, and their reasoning. */
  text: string;
  reasoning: string;
  private readonly cited: Set<string>;
  private readonly calls: ToolChunks;
  private isTextOpen = false;
  private isReasoningOpen = false;
  /** The present step has calls: what follows them is another step. */
  private hasCalls: boolean;
  /** The step of the last call that came; 0: none. */
  private step = 0;

  constructor(
    readonly id: string,
    message?: UIMessage,
  ) {
    const parts = message?.parts ?? [];
    this.text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
    this.reasoning = parts.map((part) => (part.type === 'reasoning' ? part.text : '')).join('');
    this.cited = new Set(parts.map((part) => (part.type === 'source-url' ? part.url : '')));
    this.calls = new ToolChunks(message);
    this.hasCalls = parts.at(-1)?.type === 'dynamic-tool';
  }

  get isEmpty(): boolean {
    return this.text === '' && this.reasoning === '' && !this.hasCalls;
  }

  *add(text: string): Generator<Chunk> {
    if (text === '') return;
    yield* this.beginStep();
    // Pages show that the model thinks while the part is open.
    yield* this.endReasoning();
    if (!this.isTextOpen) yield { type: 'text-start', id: this.id };
    this.isTextOpen = true;
    yield { type: 'text-delta', id: this.id, delta: text };
    this.text += text;
  }

  *addReasoning(text: string): Generator<Chunk> {
    if (text === '') return;
    yield* this.beginStep();
    const id = `reasoning-${this.id}`;
    if (!this.isReasoningOpen) yield { type: 'reasoning-start', id };
    this.isReasoningOpen = true;
    yield { type: 'reasoning-delta', id, delta: text };
    this.reasoning += text;
  }

  *addSource(source: SourcePart): Generator<Chunk> {
    const part = sourceOf(source);
    if (part === undefined || this.cited.has(part.url)) return;
    this.cited.add(part.url);
    yield part;
  }

  *addCall(call: ToolCall): Generator<Chunk> {
    yield* this.endParts();
    const isNew = !this.calls.has(call);
    if (isNew && call.step > this.step) yield* this.beginStep();
    this.step = Math.max(this.step, call.step);
    this.hasCalls ||= isNew;
    yield* this.calls.of(call);
  }

  /** Ends the open parts. */
  *endParts(): Generator<Chunk> {
    yield* this.endReasoning();
    if (this.isTextOpen) yield { type: 'text-end', id: this.id };
    this.isTextOpen = false;
  }

  private *endReasoning(): Generator<Chunk> {
    if (this.isReasoningOpen) yield { type: 'reasoning-end', id: `reasoning-${this.id}` };
    this.isReasoningOpen = false;
  }

  private *beginStep(): Generator<Chunk> {
    if (this.hasCalls) yield { type: 'start-step' };
    this.hasCalls = false;
  }
}

/** The chunks that a state of the job adds to what is shown of its reply. */
function* stateOf(job: Job, reply: ShownReply): Generator<Chunk> {
  const { id, status, attempts, error, assistant_message } = job;
  const messageMetadata: RejoinderMetadata = { job_status: status, attempts, ...(error && { error }) };
  if (isWaiting(job)) {
    yield* reply.endParts();
    yield { type: 'finish', finishReason: 'tool-calls', messageMetadata };
    return;
  }
  if (!isFinal(job)) {
    // A `start` leaves `useChat` in status `submitted`, in which pages show that they wait.
    if (reply.isEmpty) yield { type: 'start', messageId: id, messageMetadata };
    else yield { type: 'message-metadata', messageMetadata };
    return;
  }
  // A canceled turn may keep nothing.
  if (status === 'canceled' && assistant_message === null) rest('', reply.text + reply.reasoning);
  yield* reply.endParts();
  if (status === 'failed') {
    yield { type: 'message-metadata', messageMetadata };
    yield { type: 'error', errorText: error?.message ?? 'The turn failed.' };
  } else {
    yield { type: 'finish', finishReason: finishReasonOf(assistant_message), messageMetadata };
  }
}

/** The part of what is kept that is not shown yet. @throws RestartError when `kept` does not begin with `shown` */
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
