import type { OtherPart, SourcePart } from '#database/entities/part.js';
import { label } from './storable.js';

/** Longest reasoning of a turn, in UTF-16 code units. The rest is left out, and {@link LEFT_OUT} says so. */
export const LONGEST_REASONING = 256 * 1024;
export const LEFT_OUT = '\n\n[The rest of the reasoning is left out.]';

/** Most sources of one answer, and their longest address, in UTF-16 code units. */
const MOST_SOURCES = 100;
const LONGEST_URL = 2_000;

/** An address of the web. An address with control characters is none, and its JSON would be too long for a piece of the feed. */
const WEB_ADDRESS = /^https?:\/\/\P{Cc}+$/iu;

const ENDS_BLANK = /\s$/u;
const HALF_AT_END = /[\uD800-\uDBFF]$/;

/** Gets what an answer shows besides its text, as it arrives. */
export interface ShownParts {
  reasoning(text: string): void;
  source(source: SourcePart): void;
}

/** The parts of one answer besides its text and its tool calls: its reasoning, if users see it, and its sources. */
export class OtherParts {
  private thoughts = '';
  private readonly cited = new Map<string, SourcePart>();
  /** Another block has come since the last thought, so the next one begins a paragraph. */
  private apart = true;
  private isCut: boolean;

  /**
   * @param showsReasoning if false, thoughts leave no trace here
   * @param before the reasoning of the turn's finished steps
   */
  constructor(
    private readonly showsReasoning: boolean,
    private readonly before: string,
    private readonly shown: ShownParts,
  ) {
    this.isCut = before.length > LONGEST_REASONING;
  }

  /** The parts; null: none. */
  get parts(): readonly OtherPart[] | null {
    const reasoning = this.thoughts === '' ? [] : [{ type: 'reasoning' as const, text: this.thoughts.toWellFormed() }];
    return reasoning.length + this.cited.size === 0 ? null : [...reasoning, ...this.cited.values()];
  }

  /** Notes that a block begins. */
  beginBlock(): void {
    this.apart = true;
  }

  /** Adds a piece of a thought. */
  think(value: unknown): void {
    if (!this.showsReasoning || this.isCut || typeof value !== 'string') return;
    // PostgreSQL cannot store NUL.
    const text = value.replaceAll('\0', '');
    if (text === '') return;
    const earlier = this.thoughts || this.before;
    const gap = this.apart && earlier !== '' && !ENDS_BLANK.test(earlier) ? '\n\n' : '';
    this.apart = false;
    const room = Math.max(0, LONGEST_REASONING - this.before.length - this.thoughts.length);
    this.isCut = gap.length + text.length > room;
    const piece = this.isCut ? (gap + text).slice(0, room).replace(HALF_AT_END, '') + LEFT_OUT : gap + text;
    this.thoughts += piece;
    this.shown.reasoning(piece);
  }

  /** Adds the source of a citation, unless it is there already. */
  cite(citation: unknown): void {
    const { url, title } = (citation ?? {}) as Record<string, unknown>;
    if (typeof url !== 'string' || url.length > LONGEST_URL || !WEB_ADDRESS.test(url) || this.cited.has(url)) return;
    if (this.cited.size >= MOST_SOURCES) return;
    const named = typeof title === 'string' ? label(title).replaceAll(/\p{Cc}/gu, ' ') : null;
    const source: SourcePart = { type: 'source', url: label(url, LONGEST_URL), title: named };
    this.cited.set(url, source);
    this.shown.source(source);
  }
}
