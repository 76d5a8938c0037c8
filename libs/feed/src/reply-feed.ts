import { CANCEL_CHANNEL } from '#jobs/states.js';
import type { Listener } from './listener.js';
import { Listeners } from './listeners.js';

/** A stretch of the text that an attempt is writing. Offsets count UTF-16 code units, as JavaScript does. */
export interface Piece {
  readonly jobId: string;
  readonly attempt: number;
  readonly offset: number;
  readonly text: string;
}

/** Told what somebody lacks; `undefined` says "a question may have been missed: it may be anything that is not in the row". */
export type Writer = (lacks: Pick<Piece, 'attempt' | 'offset'> | undefined) => void;

/** Which end of the feed a process is at: the API reads pieces, the worker writes them. */
export type FeedEnd = 'reads' | 'writes';

const PIECES = 'rejoinder_pieces';
const ASKED = 'rejoinder_asked';

/**
 * Longest text of one notice, in UTF-16 code units. PostgreSQL takes 8,000 bytes; a code unit has three at most, and the
 * rest is for the piece's address.
 */
export const LONGEST_PIECE = 2_500;

/**
 * What the two apps say to one another of replies while they are written, over PostgreSQL's notices: the text, from the worker
 * to whoever follows one, and what is asked of the worker.
 *
 * Nothing here is kept, and pieces may get lost: whoever finds a gap, or comes late, asks the worker for the text from a
 * position on. What the worker has written for good is in the row.
 */
export class ReplyFeed {
  private readonly followers = new Listeners<(piece: Piece) => void>();
  private readonly writers = new Listeners<Writer>();
  private readonly cancels = new Listeners<() => void>();

  constructor(
    private readonly listener: Listener,
    end: FeedEnd,
  ) {
    if (end === 'reads') {
      // Pieces that were missed need no word of their own: the job feed, on the same connection, has followers look.
      listener.on(PIECES, { heard: (payload) => this.heardPiece(payload), missed: () => undefined });
    } else {
      listener.on(ASKED, { heard: (payload) => this.heardAsked(payload), missed: () => this.missedAsked() });
      // One that was missed is made up for by whoever asked: the row is canceled over the worker's head.
      listener.on(CANCEL_CHANNEL, { heard: (jobId) => this.heardCancel(jobId), missed: () => undefined });
    }
  }

  /** Sends pieces to all who follow their jobs, in any process. @returns whether they were sent */
  publish(pieces: readonly Piece[]): Promise<boolean> {
    return this.listener.notify(
      PIECES,
      pieces.map(({ jobId, attempt, offset, text }) => `${jobId} ${attempt} ${offset} ${text}`),
    );
  }

  /** Calls `listener` with each piece of the job until the returned function is called. */
  follow(jobId: string, listener: (piece: Piece) => void): () => void {
    return this.followers.add(jobId, listener);
  }

  /** Asks whoever runs the attempt for its text from `offset` on; it comes as pieces. */
  ask(jobId: string, attempt: number, offset: number): Promise<boolean> {
    return this.listener.notify(ASKED, [`${jobId} ${attempt} ${offset}`]);
  }

  /** Calls `writer` when somebody asks for text of the job, until the returned function is called. */
  answer(jobId: string, writer: Writer): () => void {
    return this.writers.add(jobId, writer);
  }

  /** Calls `cancel` when somebody asks for the job's cancel, until the returned function is called. */
  onCancel(jobId: string, cancel: () => void): () => void {
    return this.cancels.add(jobId, cancel);
  }

  private heardCancel(jobId: string): void {
    for (const cancel of this.cancels.of(jobId)) cancel();
  }

  private heardPiece(payload: string): void {
    const [jobId = '', attempt = '', offset = ''] = payload.split(' ', 3);
    const followers = this.followers.of(jobId);
    if (followers.length === 0) return;
    const text = payload.slice(jobId.length + attempt.length + offset.length + 3);
    const piece = { jobId, attempt: Number(attempt), offset: Number(offset), text };
    for (const follower of followers) follower(piece);
  }

  private missedAsked(): void {
    for (const writer of this.writers.all()) writer(undefined);
  }

  private heardAsked(payload: string): void {
    const [jobId = '', attempt, offset] = payload.split(' ');
    for (const writer of this.writers.of(jobId)) writer({ attempt: Number(attempt), offset: Number(offset) });
  }
}
