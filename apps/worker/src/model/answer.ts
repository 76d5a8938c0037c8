import type Anthropic from '@anthropic-ai/sdk';
import type { CacheTtl } from '#database/entities/assistant.entity.js';
import { type OtherPart, reasoningIn } from '#database/entities/part.js';
import type { FinishedStep } from '#jobs/steps.js';
import { isBlank } from './blank.js';
import { broken, rejected } from './model-fault.js';
import type { Call, Reported } from './call.js';
import { OtherParts, type ShownParts } from './other-parts.js';
import { label } from './storable.js';

/**
 * Longest reply, in UTF-16 code units: far beyond the limit of any model. Even if JSON escapes each unit with six characters, a client can
 * still read the event with the reply.
 */
const LONGEST_REPLY = 8 * 1024 * 1024;

/** Longest stored detail of a refusal, in UTF-16 code units. */
const LONGEST_DETAIL = 1_000;

/** Most content blocks of one answer. Today's answers have some dozens. */
const MOST_BLOCKS = 10_000;

type StreamEvent = Anthropic.RawMessageStreamEvent;
type Block = Record<string, unknown>;

/** Text that ends, or begins, with white space. */
const ENDS_BLANK = /\s$/u;
const BEGINS_BLANK = /^\s/u;

/** The finished steps of the turn, which an answer continues. */
type Before = readonly Pick<FinishedStep, 'content' | 'text' | 'otherParts'>[];

/** A tool call that the model asks for. */
export interface ToolUse {
  /** The id that the model gave it. */
  readonly id: string;
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** Gets what an answer shows, as it arrives. */
export interface Shown extends ShownParts {
  text(text: string): void;
}

/** An answer, built from its events: its text and its other parts for users, and its content blocks for the model. */
export class Answer {
  /** The text that this answer adds to the reply. */
  content = '';
  model = '';
  stopReason: string | null = null;
  stopDetails: { category: string | null; explanation: string | null } | null = null;
  private readonly finished: Block[] = [];
  private readonly others: OtherParts;
  /** A block's input is no JSON. It was cut, or the answer cannot be used. */
  private hasTornInput = false;
  private citations = 0;
  private readonly open = new Map<number, { block: Block; json: string }>();
  private started = false;
  private stopped = false;
  /** A block of another kind has come since the last text, so the next text begins a paragraph. */
  private apart: boolean;
  /** How long what the request has written to the cache lasts. */
  private readonly cacheTtl: CacheTtl;
  /** The reply's text before this answer. */
  private readonly before: string;

  constructor(
    private readonly call: Call,
    private readonly shown: Shown,
    {
      before = [],
      showsReasoning = false,
      cacheTtl = '5m',
    }: { before?: Before; showsReasoning?: boolean; cacheTtl?: CacheTtl } = {},
  ) {
    this.cacheTtl = cacheTtl;
    this.before = before.map(({ text }) => text).join('');
    const reasoning = before.map(({ otherParts }) => reasoningIn(otherParts)).join('');
    this.others = new OtherParts(showsReasoning, reasoning, shown);
    const last = before.at(-1)?.content.at(-1) as Block | undefined;
    this.apart = last !== undefined && last['type'] !== 'text';
  }

  /** The reply's text with this answer. */
  get text(): string {
    return this.before + this.content;
  }

  /** Whether this stream contained the end of the message. */
  get isWhole(): boolean {
    return this.stopped && this.stopReason !== null;
  }

  /** Whether the reply has only white space. */
  get isBlank(): boolean {
    return this.text.trim() === '';
  }

  /** The tool calls that it asks for. They run only if the model stopped for them. */
  get toolUses(): ToolUse[] {
    return this.finished.filter(({ type }) => type === 'tool_use') as unknown as ToolUse[];
  }

  /** Its parts besides its text and its tool calls; null: none. */
  get otherParts(): readonly OtherPart[] | null {
    return this.others.parts;
  }

  /** The finished blocks, in the form in which a request sends them back to the model. */
  get blocks(): Anthropic.ContentBlockParam[] {
    return this.finished as unknown as Anthropic.ContentBlockParam[];
  }

  /** Begins again with another stream in place of the last one, which had no text. Published white space and reasoning stay. */
  again(): void {
    this.finished.length = 0;
    this.hasTornInput = false;
    this.open.clear();
    this.stopReason = null;
    this.started = false;
    this.stopped = false;
  }

  /**
   * Adds an event of the stream.
   * @returns whether the message is complete
   * @throws ModelFault, or another error for an event of the wrong shape
   */
  take(event: StreamEvent): boolean {
    if (this.stopped) return true;
    switch (event.type) {
      case 'message_start':
        // A proxy has sent the request again, so another reply follows, not the rest of this one.
        if (this.started) throw broken('The model’s answer began twice.');
        this.started = true;
        this.model = label(event.message.model);
        this.call.answers(label(event.message.id), reported(event.message.usage, this.cacheTtl));
        break;
      case 'content_block_start':
        this.begin(event.index, event.content_block as unknown as Block);
        break;
      case 'content_block_delta':
        this.extend(event.index, event.delta as unknown as Block);
        break;
      case 'content_block_stop':
        this.end(event.index);
        break;
      case 'message_delta':
        if (event.delta.stop_reason) this.stopReason = label(event.delta.stop_reason);
        if (this.hasTornInput && this.stopReason === 'tool_use') throw broken('The model’s answer cannot be read.');
        this.stopDetails = detailsOf(event.delta.stop_details);
        this.call.ends(reported(event.usage as Partial<Anthropic.Usage> | undefined, this.cacheTtl));
        break;
      case 'message_stop':
        this.stopped = true;
        break;
    }
    return this.stopped;
  }

  private begin(index: number, block: Block): void {
    if (this.open.size + this.finished.length >= MOST_BLOCKS) throw rejected('The model’s answer is too long.');
    this.open.set(index, { block: { ...block }, json: '' });
    this.others.beginBlock();
    if (block['type'] === 'text') {
      if (block['text'] !== undefined) this.say(block['text']);
      return;
    }
    this.apart = true;
    if (block['type'] === 'thinking') this.others.think(block['thinking']);
    this.call.hides(block['type'] === 'thinking' || block['type'] === 'redacted_thinking');
  }

  private extend(index: number, delta: Block): void {
    const open = this.open.get(index);
    const append = (field: string, more: unknown): void => {
      if (open === undefined || typeof more !== 'string') return;
      const before = open.block[field];
      open.block[field] = typeof before === 'string' ? before + more : more;
    };
    switch (delta['type']) {
      case 'text_delta':
        this.say(delta['text']);
        append('text', delta['text']);
        break;
      case 'thinking_delta':
        // Visible thinking is counted by its text, not by time.
        this.call.hides(false);
        this.call.unseen(String(delta['thinking']));
        this.others.think(delta['thinking']);
        append('thinking', delta['thinking']);
        break;
      case 'signature_delta':
        append('signature', delta['signature']);
        break;
      case 'input_json_delta':
        this.call.unseen(String(delta['partial_json']));
        if (open !== undefined) open.json += String(delta['partial_json']);
        break;
      case 'citations_delta':
        if (++this.citations > MOST_BLOCKS) throw rejected('The model’s answer is too long.');
        if (open !== undefined) ((open.block['citations'] ??= []) as unknown[]).push(delta['citation']);
        this.others.cite(delta['citation']);
        break;
      default:
        break;
    }
  }

  private end(index: number): void {
    this.call.hides(false);
    const open = this.open.get(index);
    this.open.delete(index);
    if (open === undefined) return;
    if (open.json !== '' && !this.readInput(open)) return;
    // The model sends blank text blocks, but refuses them in a request.
    if (open.block['type'] !== 'text' || !isBlank(String(open.block['text']))) this.finished.push(open.block);
  }

  /** @returns false: the input was cut, and the block is left out */
  private readInput({ block, json }: { block: Block; json: string }): boolean {
    try {
      block['input'] = JSON.parse(json);
      return true;
    } catch {
      this.hasTornInput = true;
      return false;
    }
  }

  private say(value: unknown): void {
    if (typeof value !== 'string') throw broken('The model’s answer cannot be read.');
    // PostgreSQL cannot store NUL.
    const text = value.replaceAll('\0', '');
    if (text === '') return;
    const earlier = this.content || this.before;
    const gap = this.apart && earlier !== '' && !ENDS_BLANK.test(earlier) && !BEGINS_BLANK.test(text) ? '\n\n' : '';
    this.apart = false;
    this.content += gap + text;
    if (this.before.length + this.content.length > LONGEST_REPLY) throw rejected('The model’s answer is too long.');
    this.call.text(text);
    this.shown.text(gap + text);
  }
}

/*
 * A server that only resembles the API may leave figures out or get them wrong. A good reply must not be lost for that.
 */

/** Ten times the largest context of any model. A larger figure is wrong, and would use up the user's tokens of a day. */
const LARGEST_COUNT = 10_000_000;

/** A number of tokens; undefined: the value is not one. */
function count(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value < LARGEST_COUNT ? Math.round(value) : undefined;
}

/** The token counts that the model reports. Input includes tokens read from the prompt cache and written to it. */
function reported(usage: Partial<Anthropic.Usage> | null | undefined, ttl: CacheTtl): Reported {
  const { input_tokens, cache_creation_input_tokens, cache_creation, output_tokens_details } = usage ?? {};
  const { server_tool_use } = usage ?? {};
  const cacheRead = count(usage?.cache_read_input_tokens);
  const written = count(cache_creation_input_tokens);
  const inputs = [count(input_tokens), written, cacheRead].filter((tokens) => tokens !== undefined);
  return {
    input: inputs.length === 0 ? undefined : inputs.reduce((sum, tokens) => sum + tokens, 0),
    output: count(usage?.output_tokens),
    cacheRead,
    cacheWrite: written,
    // The end of an answer has only the sum, and a server may never report the parts. All marks of a request last equally long.
    cacheWrite1h: count(cache_creation?.ephemeral_1h_input_tokens) ?? (ttl === '1h' ? written : undefined),
    thinking: count(output_tokens_details?.thinking_tokens),
    serverTools: requests(server_tool_use),
  };
}

/** Most kinds of requests of the provider's tools that are counted, and the longest name of one. */
const MOST_KINDS = 20;
const LONGEST_KIND = 100;

/** Numbers of requests of the provider's tools, without those that are 0; undefined: there were none. */
function requests(used: unknown): Record<string, number> | undefined {
  if (typeof used !== 'object' || used === null) return undefined;
  const counts = Object.entries(used)
    .map(([kind, value]) => [label(kind, LONGEST_KIND), count(value) ?? 0] as const)
    .filter(([, value]) => value > 0)
    .slice(0, MOST_KINDS);
  return counts.length === 0 ? undefined : Object.fromEntries(counts);
}

/** Details of a refusal, each shortened to {@link LONGEST_DETAIL}; null: the model gave none in the documented shape. */
function detailsOf(details: unknown): Answer['stopDetails'] {
  if (typeof details !== 'object' || details === null) return null;
  const { category, explanation } = details as Record<string, unknown>;
  const text = (value: unknown): string | null =>
    typeof value === 'string' ? value.replaceAll('\0', '').slice(0, LONGEST_DETAIL).toWellFormed() : null;
  return { category: text(category), explanation: text(explanation) };
}
