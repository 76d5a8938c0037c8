import { ConnectionError } from './errors.js';
import type { ReceivedEvent } from './read-event.js';
import type { Message, SourcePart, ToolCall } from './types.js';

/** An event of a reply. Offsets count UTF-16 code units, as a string's `length` does. */
export type ReplyEvent =
  /** The next piece of the reply. */
  | { readonly type: 'delta'; readonly offset: number; readonly text: string }
  /** The next piece of the model's reasoning, if the assistant shows it. The offset is one of the reasoning. */
  | { readonly type: 'reasoning'; readonly offset: number; readonly text: string }
  /** A source of the text before it. */
  | { readonly type: 'source'; readonly source: SourcePart }
  /** Another attempt begins: forget the text and the reasoning from their offsets on, and all sources. Those that stay come again. */
  | { readonly type: 'reset'; readonly attempt: number; readonly offset: number; readonly reasoningOffset: number }
  /** A tool call, whole: when it begins, and each time its state has changed. It replaces the call with the same id. */
  | { readonly type: 'tool_call'; readonly toolCall: ToolCall }
  /** The reply as it is kept. It replaces what came so far: a canceled one may be shorter. */
  | { readonly type: 'message'; readonly message: Message };

type Received = Extract<ReceivedEvent, { name: ReplyEvent['type'] }>;
type DataOf<Name extends Received['name']> = Extract<Received, { name: Name }>['data'];

/**
 * What has come of a reply. The service sends everything but the text again when a stream is resumed; here each thing is new once.
 */
export class ReplySoFar {
  private attempt = 0;
  /** How much of the attempt's text has come, also before this object. */
  private offset = 0;
  private readonly calls = new Map<string, ToolCall>();
  private cited = new Map<string, SourcePart>();
  /** How many new things have come. */
  news = 0;

  text = '';
  reasoning = '';
  message: Message | undefined;

  /** @param id the id of the last event that came before */
  constructor(id: string | undefined) {
    this.setPosition(id);
  }

  get toolCalls(): readonly ToolCall[] {
    return [...this.calls.values()];
  }

  get sources(): readonly SourcePart[] {
    return [...this.cited.values()];
  }

  /** Takes an event in. @returns what is new in it @throws ConnectionError when it does not fit what came before */
  take({ name, data }: Received, id: string | undefined): ReplyEvent | undefined {
    switch (name) {
      case 'delta':
        return this.takeDelta(data, id);
      case 'reasoning':
        return this.takeReasoning(data);
      case 'source':
        return this.takeSource(data);
      case 'reset':
        if (parsePosition(id)[0] !== this.attempt) this.news++;
        return this.takeReset(data);
      case 'tool_call':
        return this.takeToolCall(data);
      case 'message':
        return this.takeMessage(data);
    }
  }

  /** Notes the id of an event that brings no text. */
  setPosition(id: string | undefined): void {
    if (id !== 'end') [this.attempt, this.offset] = parsePosition(id);
  }

  /** The service sends each piece once. A piece that overlaps is shortened all the same; a gap needs a new connection. */
  private takeDelta(delta: DataOf<'delta'>, id: string | undefined): ReplyEvent | undefined {
    const [attempt] = parsePosition(id);
    if (attempt !== this.attempt) this.setPosition(`${attempt}.0`);
    if (delta.offset > this.offset) throw new ConnectionError('A piece of the text is missing.');
    const text = delta.text.slice(this.offset - delta.offset);
    const { offset } = this;
    if (text === '') return undefined;
    this.news++;
    this.offset += text.length;
    this.text += text;
    return { type: 'delta', offset, text };
  }

  private takeReasoning(piece: DataOf<'reasoning'>): ReplyEvent | undefined {
    const offset = this.reasoning.length;
    if (piece.offset > offset) throw new ConnectionError('A piece of the reasoning is missing.');
    const text = piece.reasoning.slice(offset - piece.offset);
    if (text === '') return undefined;
    this.news++;
    this.reasoning += text;
    return { type: 'reasoning', offset, text };
  }

  private takeSource(source: SourcePart): ReplyEvent | undefined {
    if (this.cited.has(source.url)) return undefined;
    this.news++;
    this.cited.set(source.url, source);
    return { type: 'source', source };
  }

  /** A service of an older version names no offset: it keeps nothing. */
  private takeReset({ attempt, offset = 0, reasoning_offset: reasoningOffset = 0 }: DataOf<'reset'>): ReplyEvent {
    this.text = this.text.slice(0, offset);
    this.reasoning = this.reasoning.slice(0, reasoningOffset);
    this.cited.clear();
    return { type: 'reset', attempt, offset, reasoningOffset };
  }

  private takeToolCall(toolCall: ToolCall): ReplyEvent | undefined {
    if (this.calls.get(toolCall.id)?.status === toolCall.status) return undefined;
    this.news++;
    this.calls.set(toolCall.id, toolCall);
    return { type: 'tool_call', toolCall };
  }

  private takeMessage(message: Message): ReplyEvent {
    if (this.message === undefined) this.news++;
    this.message = message;
    this.text = message.content;
    this.reasoning = reasoningOf(message);
    const sources = (message.parts ?? []).filter((part) => part.type === 'source');
    this.cited = new Map(sources.map((source) => [source.url, source]));
    return { type: 'message', message };
  }
}

/** The reasoning in a stored reply. */
export function reasoningOf({ parts = [] }: Pick<Message, 'parts'>): string {
  return parts.map((part) => (part.type === 'reasoning' ? part.text : '')).join('');
}

/** An event's id, `<attempt>.<offset>`. */
function parsePosition(id: string | undefined): [attempt: number, offset: number] {
  const [attempt = 0, offset = 0] = (id ?? '').split('.').map(Number);
  return [attempt, offset];
}
