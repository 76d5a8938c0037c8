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
  /** How much of the text is saved in the row, and how much was published, in UTF-16 code units. */
  private saved: number;
  private published: number;
  /**
   * The rest of the text, each in a string of its own. To slice it from `text` would copy the whole text with every delta: V8 joins
   * concatenated strings only when they are read.
   */
  private notSaved = '';
  private notPublished = '';
  /** The same as `saved`, in code points. */
  private savedCharacters: number;
  /** The figures of the call that the ledger has. */
  private entered: CallFigures = NO_FIGURES;
  /** The step whose call it is, from 1. */
  private step: number;

  /** The text of finished steps is saved in the row, and was published. */
  constructor(
    private readonly job: Pick<ClaimedJob, 'id' | 'attempt' | 'steps'>,
    private call: Call,
  ) {
    this.text = job.steps.map(({ text }) => text).join('');
    this.saved = this.published = this.text.length;
    this.savedCharacters = characters(this.text);
    this.step = job.steps.length + 1;
  }

  /** The current step's answer is complete. @returns all of the text, in a form that PostgreSQL can store */
  endStep(): string {
    this.text = this.text.toWellFormed();
    this.notSaved = this.notSaved.toWellFormed();
    this.notPublished = this.notPublished.toWellFormed();
    return this.text;
  }

  /** The current step is committed, with the text that {@link endStep} gave. */
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

  /** Takes the pieces that were not published yet. They count as published from now on. */
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
   * Publishes the text from `offset` once more, for a reader that lacks it.
   *
   * Without an offset the feed was cut, and readers may lack any part of the text. The part that is not saved is then published again, and in any case the
   * last character, so that a reader that lacks more sees the gap and asks for it.
   */
  rewind(offset = Math.min(this.saved, this.text.length - 1)): void {
    const from = Math.max(0, offset);
    if (from >= this.published) return;
    this.published = from;
    this.notPublished = this.text.slice(from);
  }

  /** The part of the text that the row lacks, and the figures that the ledger lacks. Call `written` once it is saved; until then the next heartbeat brings the same text again, and more. */
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
        // A commit has saved this text meanwhile.
        if (step !== this.step || saved !== this.saved) return;
        this.entered = figuresSoFar;
        this.saved += text.length;
        this.savedCharacters = at + characters(text);
        this.notSaved = this.notSaved.slice(text.length);
      },
    };
  }
}

/** Counts the code points of a text that ends with a whole one. It makes no array of them, which would be many times as large. */
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
