import type { EntityManager } from 'typeorm';
import { LONGEST_PIECE, type Piece } from '#feed/reply-feed.js';
import { HEARTBEAT_MS } from '#jobs/timings.js';
import { type CallFigures, NO_FIGURES } from '#jobs/ledger.js';
import type { ClaimedJob } from '#jobs/claim.js';
import { extend } from '#jobs/transitions.js';
import type { Call } from '../model/call.js';

/** How soon a heartbeat that failed is tried again, in milliseconds. */
const AGAIN_MS = 500;

/**
 * The text of a running attempt so far. It goes two ways: into the row with each heartbeat, which extends the lease too, and
 * out to whoever follows the reply, piece by piece.
 */
export class Draft {
  private text = '';
  /** How much of the text is in the row, and how much was handed out; offsets count UTF-16 code units. */
  private saved = 0;
  private published = 0;
  /** The same as `saved`, in code points. */
  private savedCharacters = 0;
  /** What of the call is in the ledger. */
  private entered: CallFigures = NO_FIGURES;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  private beating = false;
  private stopped = false;

  /** `lost` is called when the attempt is no longer the job's. */
  constructor(
    private readonly manager: EntityManager,
    private readonly job: ClaimedJob,
    private readonly call: Call,
    private readonly lost: () => void,
  ) {
    this.beatIn(HEARTBEAT_MS);
  }

  add(text: string): void {
    this.text += text;
  }

  /** All of it, as PostgreSQL can hold it. */
  whole(): string {
    return wholeCharacters(this.text).toWellFormed();
  }

  /** The pieces that nobody has been sent yet; they count as sent from now on. */
  takePieces(): Piece[] {
    const { id: jobId, attempt } = this.job;
    const pieces: Piece[] = [];
    while (this.published < this.text.length) {
      const text = wholeCharacters(this.text.slice(this.published, this.published + LONGEST_PIECE));
      if (text === '') break;
      pieces.push({ jobId, attempt, offset: this.published, text: text.toWellFormed() });
      this.published += text.length;
    }
    return pieces;
  }

  /**
   * Somebody lacks the text from `offset` on: it is handed out once more. Without one, nobody knows what anybody lacks: what is
   * not in the row is handed out, and the end of the text in any case. Whoever lacks more of it sees the gap, and asks.
   */
  rewind(offset = Math.min(this.saved, this.text.length - 1)): void {
    this.published = Math.min(this.published, Math.max(0, offset));
  }

  /** Something may have been missed: whether the attempt is still the job's is found out now. */
  beat(): void {
    if (!this.beating) this.beatIn(0);
  }

  /** Ends the heartbeat and waits for one under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.writing;
  }

  private beatIn(ms: number): void {
    if (this.stopped) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.beating = true;
      this.writing = this.write().then((ms) => {
        this.beating = false;
        this.beatIn(ms);
      });
    }, ms);
  }

  /** @returns when to write again, in milliseconds */
  private async write(): Promise<number> {
    const { id, attempt } = this.job;
    const text = wholeCharacters(this.text.slice(this.saved));
    const { told } = this.call;
    const news = told === this.entered ? undefined : told;
    try {
      const held = await extend(this.manager, id, attempt, text.toWellFormed(), this.savedCharacters, news);
      if (!held) this.lost();
      this.entered = told;
      this.saved += text.length;
      this.savedCharacters += characters(text);
      return HEARTBEAT_MS;
    } catch {
      // The database is away, and the lease runs on: the first moment it is back counts.
      return AGAIN_MS;
    }
  }
}

/** Code points of a text that ends with a whole one. Counted one by one: an array of them would be many times as large. */
function characters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

const FIRST_HALF_AT_END = /[\uD800-\uDBFF]$/;

/** A text without the half of a surrogate pair at its end: the pieces of a reply may split one. */
export function wholeCharacters(text: string): string {
  return text.replace(FIRST_HALF_AT_END, '');
}
