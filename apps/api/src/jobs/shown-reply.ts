import type { MessageRow } from '#database/columns.js';
import { type OtherPart, reasoningIn, type SourcePart, sourcesIn } from '#database/entities/part.js';
import type { Extent, Piece } from '#feed/reply-feed.js';
import type { SavedReply } from '#jobs/read.js';
import type { ShownStep } from '#jobs/steps.js';
import type { ToolCallRow } from '#jobs/tool-calls.js';
import { presentToolCall } from './present-tool-call.js';
import { eventId, type TextPosition } from './text-position.js';

/** Sends an event. */
export type Send = (event: string, id: string, data: object) => void;

/** A part of a stored message. */
type MessagePart =
  | OtherPart
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tool_call'; readonly tool_call: { readonly id: string } };

/**
 * The part of a reply that one client has, and the events that bring it what it lacks. Steps come one after the other, each with its
 * reasoning, its text, its sources and its tool calls.
 *
 * An event's id says how much text a client has, and nothing else. So a stream that is resumed sends everything but text from the beginning:
 * a client discards the reasoning after an event's offset, and knows sources and tool calls that it has.
 */
export class ShownReply {
  private attempt: number;
  private text: number;
  private reasoning = 0;
  private sources = 0;
  /** The states of the tool calls that the client has seen, by id. */
  private readonly calls = new Map<string, string>();
  /** The client may have reasoning of an earlier stream that this one has not sent. */
  private isResumed: boolean;

  /** @param from what the client says that it has */
  constructor(
    from: TextPosition,
    private readonly send: Send,
  ) {
    this.attempt = from.attempt;
    this.text = from.offset;
    this.isResumed = from.attempt > 0;
  }

  /** The id of an event that brings no text. */
  get id(): string {
    return eventId({ attempt: this.attempt, offset: this.text });
  }

  get extent(): Extent {
    const { attempt, text, reasoning, sources: source } = this;
    return { attempt, text, reasoning, source };
  }

  /**
   * Notes the present attempt. Attempts share only finished steps. The client has a step only if the attempt that it saw, or an earlier one,
   * finished the step. A client that saw a later attempt has text of another job, or of a lost database.
   *
   * @param mayHaveReasoned an earlier attempt may have shown reasoning
   */
  begin(attempt: number, steps: readonly ShownStep[], mayHaveReasoned: boolean): void {
    if (this.attempt === attempt) return;
    const seen = this.attempt > attempt ? [] : steps.filter((step) => step.attempt <= this.attempt);
    const text = Math.min(this.text, Math.max(0, ...seen.map(({ endsAt }) => endsAt)));
    const reasoning = seen.reduce((sum, { otherParts }) => sum + reasoningIn(otherParts).length, 0);
    const isLost = text < this.text || reasoning < this.reasoning || (this.isResumed && mayHaveReasoned);
    this.isResumed = false;
    this.attempt = attempt;
    this.text = text;
    this.reasoning = Math.min(this.reasoning, reasoning);
    if (!isLost) return;
    // A client forgets all sources, since it cannot tell which of them are of finished steps. These come again.
    this.sources = 0;
    // Before an attempt begins there is no text. If the client has some, it belongs to another job, or to a lost database.
    this.send('reset', this.id, { attempt: Math.max(attempt, 1), offset: text, reasoning_offset: reasoning });
  }

  /** Sends what the client lacks of the finished steps. */
  showSteps({ draft, steps }: SavedReply, toolCalls: readonly ToolCallRow[]): void {
    let reasoning = '';
    const sources: SourcePart[] = [];
    for (const [n, { endsAt, otherParts }] of (steps ?? []).entries()) {
      reasoning += reasoningIn(otherParts);
      sources.push(...sourcesIn(otherParts));
      this.showReasoning(reasoning);
      this.showText(draft.slice(0, endsAt));
      this.showSources(sources);
      this.showCalls(toolCalls.filter(({ step }) => step === n + 1));
    }
  }

  /** Sends what the client lacks of the step under way, as far as it is saved. */
  showDraft({ draft, steps, draftParts }: SavedReply): void {
    const parts = [...(steps ?? []).flatMap(({ otherParts }) => otherParts ?? []), ...(draftParts ?? [])];
    this.showReasoning(reasoningIn(parts));
    this.showText(draft);
    this.showSources(sourcesIn(parts));
  }

  /** Sends what the client lacks of the stored message. */
  showMessage({ content, parts }: MessageRow, toolCalls: readonly ToolCallRow[]): void {
    let [text, reasoning] = ['', ''];
    const sources: SourcePart[] = [];
    for (const part of (parts ?? []) as readonly MessagePart[]) {
      switch (part.type) {
        case 'reasoning':
          this.showReasoning((reasoning += part.text));
          break;
        case 'text':
          this.showText((text += part.text));
          break;
        case 'source':
          sources.push(part);
          this.showSources(sources);
          break;
        case 'tool_call':
          this.showCalls(toolCalls.filter(({ id }) => id === part.tool_call.id));
          break;
      }
    }
    this.showText(content);
  }

  /** Sends the tool calls whose state the client has not seen. */
  showCalls(toolCalls: readonly ToolCallRow[]): void {
    for (const call of toolCalls) {
      if (this.calls.get(call.id) === call.status) continue;
      this.calls.set(call.id, call.status);
      this.send('tool_call', this.id, presentToolCall(call));
    }
  }

  /** Sends the new part of a piece of the present attempt. @returns false: the client lacks something before it */
  take(piece: Piece): boolean {
    const has = piece.kind === 'source' ? this.sources : this[piece.kind];
    if (piece.offset > has) return false;
    if (piece.kind === 'source') {
      if (piece.offset === has) this.sendSource(piece.source);
      return true;
    }
    const text = piece.text.slice(has - piece.offset);
    if (text === '') return true;
    if (piece.kind === 'text') this.sendText(text);
    else this.sendReasoning(text);
    return true;
  }

  /** Sends the part of the whole text that the client lacks; the next methods do so with the whole reasoning and all sources. */
  private showText(text: string): void {
    if (text.length > this.text) this.sendText(text.slice(this.text));
  }

  private showReasoning(reasoning: string): void {
    if (reasoning.length > this.reasoning) this.sendReasoning(reasoning.slice(this.reasoning));
  }

  private showSources(sources: readonly SourcePart[]): void {
    for (const source of sources.slice(this.sources)) this.sendSource(source);
  }

  private sendText(text: string): void {
    const offset = this.text;
    this.text += text.length;
    this.send('delta', this.id, { offset, text });
  }

  private sendReasoning(reasoning: string): void {
    const offset = this.reasoning;
    this.reasoning += reasoning.length;
    this.send('reasoning', this.id, { offset, reasoning });
  }

  private sendSource(source: SourcePart): void {
    this.sources += 1;
    this.send('source', this.id, source);
  }
}
