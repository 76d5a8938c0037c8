import { LONGEST_PIECE, type Piece } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Beat } from '#jobs/extend.js';
import { type CallFigures, NO_FIGURES } from '#jobs/ledger.js';
import type { Call } from '../model/call.js';

/**
 * The text of a running attempt so far. It goes two ways: into the row with each heartbeat, which extends the lease too
 * ({@link Heartbeats}), and out to whoever follows the reply, piece by piece.
 */
export class Draft {
  private text = '';
  /** So much of the text is in the row, and was handed out; offsets count UTF-16 code units. */
  private saved = 0;
  private published = 0;
  /**
   * What is not, in a string of its own each. Cut from the whole text, with each piece that came, all of it would be copied:
   * V8 joins strings only when somebody looks into them.
   */
  private notSaved = '';
  private notPublished = '';
  /** The same as `saved`, in code points. */
  private savedCharacters = 0;
  /** What of the call is in the ledger. */
  private entered: CallFigures = NO_FIGURES;

  constructor(
    private readonly job: ClaimedJob,
    private readonly call: Call,
  ) {}

  add(text: string): void {
    this.text += text;
    this.notSaved += text;
    this.notPublished += text;
  }

  /** All of it, as PostgreSQL can hold it. */
  whole(): string {
    return wholeCharacters(this.text).toWellFormed();
  }

  /** The pieces that nobody has been sent yet; they count as sent from now on. */
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
   * Somebody lacks the text from `offset` on: it is handed out once more. Without one, nobody knows what anybody lacks: what is
   * not in the row is handed out, and the end of the text in any case. Whoever lacks more of it sees the gap, and asks.
   */
  rewind(offset = Math.min(this.saved, this.text.length - 1)): void {
    const from = Math.max(0, offset);
    if (from >= this.published) return;
    this.published = from;
    this.notPublished = this.text.slice(from);
  }

  /** What is not in the row yet, nor in the ledger. It is told by `written`, once, when it is: until then it is given again, and more. */
  unsaved(): { beat: Beat; written: () => void } {
    const { id: jobId, attempt } = this.job;
    const text = wholeCharacters(this.notSaved);
    const at = this.savedCharacters;
    const { told } = this.call;
    return {
      beat: {
        jobId,
        attempt,
        text: text.toWellFormed(),
        at,
        news: told === this.entered ? undefined : told,
      },
      written: () => {
        this.entered = told;
        this.saved += text.length;
        this.savedCharacters = at + characters(text);
        this.notSaved = this.notSaved.slice(text.length);
      },
    };
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
