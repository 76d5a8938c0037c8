import { LONGEST_PIECE, type Piece } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Beat } from '#jobs/extend.js';
import { type CallFigures, NO_FIGURES } from '#jobs/ledger.js';
import type { Call } from '../model/call.js';

/**
 * The text of a running attempt so far. {@link Heartbeats} saves it in the job's row, and {@link ReplyPublisher} publishes it, piece by
 * piece, to the clients that stream the reply.
 */
export class Draft {
  private text: string;
  /** How much of the text is saved in the row, and how much is published, in UTF-16 code units. */
  private saved: number;
  private published: number;
  /**
   * The unsaved and the unpublished text, each in its own string. Slicing them from `text` would copy the whole text with each delta: V8
   * joins concatenated strings when they are read.
   */
  private notSaved = '';
  private notPublished = '';
  /** `saved`, in code points. */
  private savedCharacters: number;
  /** The call's figures as the ledger has them. */
  private entered: CallFigures = NO_FIGURES;
  /** The number of the current step, from 1. */
  private step: number;

  /** Begins with the text of finished steps, which is saved and published already. */
  constructor(
    private readonly job: Pick<ClaimedJob, 'id' | 'attempt' | 'steps'>,
    private call: Call,
  ) {
    this.text = job.steps.map(({ text }) => text).join('');
    this.saved = this.published = this.text.length;
    this.savedCharacters = characters(this.text);
    this.step = job.steps.length + 1;
  }

  /** Ends the current step's text. @returns the whole text, in a form that PostgreSQL can store */
  endStep(): string {
    this.text = this.text.toWellFormed();
    this.notSaved = this.notSaved.toWellFormed();
    this.notPublished = this.notPublished.toWellFormed();
    return this.text;
  }

  /** Notes that the current step is committed with the text of {@link endStep}, and begins the next one. */
  nextStep(call: Call): void {
    this.call = call;
    this.entered = NO_FIGURES;
    this.step += 1;
    this.saved = this.text.length;
    this.savedCharacters += characters(this.notSaved);
    this.notSaved = '';
  }

  add(text: string): void {
    this.text += text;
    this.notSaved += text;
    this.notPublished += text;
  }

  /** The whole text, in a form that PostgreSQL can store. */
  whole(): string {
    return wholeCharacters(this.text).toWellFormed();
  }

  /** Takes the unpublished pieces. They count as published from now on. */
  takePieces(): Piece[] {
    const { id: jobId, attempt } = this.job;
    const pieces: Piece[] = [];
    while (this.notPublished !== '') {
      const text = wholeCharacters(this.notPublished.slice(0, LONGEST_PIECE));
      if (text === '') break;
      pieces.push({ jobId, attempt, offset: this.published, text: text.toWellFormed() });
      this.published += text.length;
      this.notPublished = this.notPublished.slice(text.length);
    }
    return pieces;
  }

  /**
   * Marks the text from `offset` on as unpublished, for a stream that lacks it.
   *
   * A call without an offset means that the feed was cut, so streams may lack any part of the text. Then the unsaved text is published
   * again, or at least the last character: a stream that lacks more sees the gap and asks for it.
   */
  rewind(offset = Math.min(this.saved, this.text.length - 1)): void {
    const from = Math.max(0, offset);
    if (from >= this.published) return;
    this.published = from;
    this.notPublished = this.text.slice(from);
  }

  /**
   * The text that the row lacks, and the figures that the ledger lacks. The caller calls `written` once they are saved; until then the next
   * heartbeat includes the same text again.
   */
  unsaved(): { beat: Beat; written: () => void } {
    const { id: jobId, attempt } = this.job;
    const text = wholeCharacters(this.notSaved);
    const at = this.savedCharacters;
    const { step, saved } = this;
    const { figuresSoFar } = this.call;
    return {
      beat: {
        jobId,
        attempt,
        step,
        text: text.toWellFormed(),
        at,
        news: figuresSoFar === this.entered ? undefined : figuresSoFar,
      },
      written: () => {
        // The commit of a step has saved this text meanwhile.
        if (step !== this.step || saved !== this.saved) return;
        this.entered = figuresSoFar;
        this.saved += text.length;
        this.savedCharacters = at + characters(text);
        this.notSaved = this.notSaved.slice(text.length);
      },
    };
  }
}

/** Counts the code points of a text that ends with a whole one. An array of them would need many times the memory. */
function characters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

const FIRST_HALF_AT_END = /[\uD800-\uDBFF]$/;

/** Cuts half a surrogate pair off the end of a text: the model's deltas may split a pair. */
export function wholeCharacters(text: string): string {
  return text.replace(FIRST_HALF_AT_END, '');
}
