import { type OtherPart, reasoningIn, type SourcePart, sourcesIn } from '#database/entities/part.js';
import { type Extent, LONGEST_PIECE, type Piece } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Beat } from '#jobs/extend.js';
import { type CallFigures, NO_FIGURES } from '#jobs/ledger.js';
import type { Call } from '../model/call.js';
import { GrowingText, wholeCharacters } from './growing-text.js';

/** Pieces of one kind that came one after the other: they end at the offset `to` of that kind. */
interface Run {
  readonly kind: Piece['kind'];
  to: number;
}

/**
 * The reply of a running attempt so far. {@link Heartbeats} saves it in the job's rows, and {@link ReplyPublisher} publishes it, piece by
 * piece and in the order in which it came, to the clients that stream it.
 */
export class Draft {
  private readonly text: GrowingText;
  private readonly reasoning: GrowingText;
  private readonly sources: SourcePart[];
  private publishedSources: number;
  /** All that came, in its order. Runs before `next` are published. */
  private readonly runs: Run[] = [];
  private next = 0;
  /** How much of the text is saved in the row, in UTF-16 code units and in code points, and the rest. */
  private saved: number;
  private savedCharacters: number;
  private notSaved = '';
  /** How much reasoning and how many sources there were before the current step, and how much of both is saved. */
  private before: { readonly reasoning: number; readonly source: number };
  private savedParts: { readonly reasoning: number; readonly source: number };
  /** The call's figures as the ledger has them. */
  private entered: CallFigures = NO_FIGURES;
  /** The number of the current step, from 1. */
  private step: number;

  /** Begins with the reply of finished steps, which is saved and published already. */
  constructor(
    private readonly job: Pick<ClaimedJob, 'id' | 'attempt' | 'steps'>,
    private call: Call,
  ) {
    this.text = new GrowingText(job.steps.map(({ text }) => text).join(''));
    this.reasoning = new GrowingText(job.steps.map(({ otherParts }) => reasoningIn(otherParts)).join(''));
    this.sources = job.steps.flatMap(({ otherParts }) => sourcesIn(otherParts));
    this.publishedSources = this.sources.length;
    this.saved = this.text.length;
    this.savedCharacters = characters(this.text.text);
    this.before = this.savedParts = this.extent();
    for (const kind of ['reasoning', 'text', 'source'] as const) this.came(kind);
    this.step = job.steps.length + 1;
  }

  /** Ends the current step. @returns the whole text, in a form that PostgreSQL can store */
  endStep(): string {
    this.text.end();
    this.reasoning.end();
    this.notSaved = this.notSaved.toWellFormed();
    return this.text.text;
  }

  /** Notes that the current step is committed with the text of {@link endStep}, and begins the next one. */
  nextStep(call: Call): void {
    this.call = call;
    this.entered = NO_FIGURES;
    this.step += 1;
    this.saved = this.text.length;
    this.savedCharacters += characters(this.notSaved);
    this.notSaved = '';
    this.before = this.savedParts = this.extent();
  }

  add(text: string): void {
    this.text.add(text);
    this.notSaved += text;
    this.came('text');
  }

  /** Adds a piece of the reasoning. */
  addReasoning(text: string): void {
    this.reasoning.add(text);
    this.came('reasoning');
  }

  addSource(source: SourcePart): void {
    this.sources.push(source);
    this.came('source');
  }

  /** The whole text, in a form that PostgreSQL can store. */
  whole(): string {
    return wholeCharacters(this.text.text).toWellFormed();
  }

  /** The parts of the current step besides its text, in a form that PostgreSQL can store; null: none. */
  otherParts(): readonly OtherPart[] | null {
    const text = wholeCharacters(this.reasoning.text.slice(this.before.reasoning)).toWellFormed();
    const sources = this.sources.slice(this.before.source);
    if (text === '' && sources.length === 0) return null;
    return text === '' ? sources : [{ type: 'reasoning', text }, ...sources];
  }

  /** Takes the unpublished pieces. They count as published from now on. */
  takePieces(): Piece[] {
    const { id: jobId, attempt } = this.job;
    const pieces: Piece[] = [];
    const last = this.runs.length - 1;
    for (let n = this.next; n <= last; n++) {
      const { kind, to } = this.runs[n] as Run;
      if (kind === 'source') {
        for (; this.publishedSources < to; this.publishedSources++) {
          const source = this.sources[this.publishedSources] as SourcePart;
          pieces.push({ jobId, attempt, kind, offset: this.publishedSources, source });
        }
        continue;
      }
      for (let piece = this[kind].take(to, LONGEST_PIECE); piece; piece = this[kind].take(to, LONGEST_PIECE)) {
        pieces.push({ jobId, attempt, kind, ...piece });
      }
    }
    // The last run may go on.
    this.next = Math.max(0, last);
    return pieces;
  }

  /**
   * Marks what a stream does not have as unpublished.
   *
   * A call without an extent means that the feed was cut, so streams may lack any part of the reply. Then the unsaved text is published
   * again, or at least the last character: a stream that lacks more sees the gap and asks for it. The same goes for the other parts.
   */
  rewind(has: Omit<Extent, 'attempt'> = this.notSurelyReceived()): void {
    this.text.rewind(has.text);
    this.reasoning.rewind(has.reasoning);
    if (has.source < this.publishedSources) this.publishedSources = Math.max(0, has.source);
    this.next = 0;
  }

  /**
   * What the rows lack, and the figures that the ledger lacks. The caller calls `written` once they are saved; until then the next heartbeat
   * includes the same again.
   */
  unsaved(): { beat: Beat; written: () => void } {
    const { id: jobId, attempt } = this.job;
    const text = wholeCharacters(this.notSaved);
    const at = this.savedCharacters;
    const { step, saved } = this;
    const { figuresSoFar } = this.call;
    const parts = this.extent();
    const { reasoning, source } = this.savedParts;
    const hasParts = parts.reasoning > reasoning || parts.source > source;
    return {
      beat: {
        jobId,
        attempt,
        step,
        text: text.toWellFormed(),
        at,
        otherParts: hasParts ? JSON.stringify(this.otherParts() ?? []) : undefined,
        news: figuresSoFar === this.entered ? undefined : figuresSoFar,
      },
      written: () => {
        // The commit of a step has saved this meanwhile.
        if (step !== this.step || saved !== this.saved) return;
        this.entered = figuresSoFar;
        this.saved += text.length;
        this.savedCharacters = at + characters(text);
        this.notSaved = this.notSaved.slice(text.length);
        this.savedParts = parts;
      },
    };
  }

  private extent(): Omit<Extent, 'attempt'> {
    return { text: this.text.length, reasoning: this.reasoning.length, source: this.sources.length };
  }

  private notSurelyReceived(): Omit<Extent, 'attempt'> {
    const { text, reasoning, source } = this.extent();
    return {
      text: Math.min(this.saved, text - 1),
      reasoning: Math.min(this.savedParts.reasoning, reasoning - 1),
      source: Math.min(this.savedParts.source, source - 1),
    };
  }

  private came(kind: Piece['kind']): void {
    const to = kind === 'source' ? this.sources.length : this[kind].length;
    const last = this.runs.at(-1);
    if (last?.kind === kind) last.to = to;
    else if (to > 0) this.runs.push({ kind, to });
  }
}

/** Counts the code points of a text that ends with a whole one. An array of them would need many times the memory. */
function characters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
