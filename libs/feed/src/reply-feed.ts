/** Which side of the feed a process is on: the API reads pieces, the worker writes them. */
export type FeedEnd = 'reads' | 'writes';

/** A piece of the text that an attempt writes. Offsets count UTF-16 code units, as JavaScript does. */
export interface Piece {
  readonly jobId: string;
  readonly attempt: number;
  readonly offset: number;
  readonly text: string;
}

/**
 * Called with each piece of one job's text. `undefined`: pieces may have been missed, so read the row and ask (unless the job feed, on the
 * same connection, says so already).
 */
export type PieceSubscriber = (piece: Piece | undefined) => void;

/** Called with the position from which a reader lacks text. `undefined`: a question may have been missed, so readers may lack any text. */
export type Writer = (lacks: Pick<Piece, 'attempt' | 'offset'> | undefined) => void;

/**
 * Longest text of one piece, in UTF-16 code units. A notice of PostgreSQL has 8,000 bytes, and a code unit takes at most three; the rest is
 * for ids and offset. Redis would take more, but no piece needs it.
 */
export const LONGEST_PIECE = 2_500;

/**
 * The feed of replies in progress. The worker sends the text to the processes whose clients stream it, and these ask for text that they
 * lack. Both travel through the queue's store, PostgreSQL or Redis.
 *
 * Nothing here is stored, and pieces may be lost. A reader that finds a gap, or comes late, asks the worker for the text from an offset on.
 * The row has the text that the worker has saved. While the store is away nothing arrives and nothing waits to be sent. Once it is back,
 * both sides learn that they may have missed messages.
 */
export abstract class ReplyFeed {
  /** Sends pieces to all subscribers of their jobs, in any process. Never throws. @returns whether they were sent */
  abstract publish(pieces: readonly Piece[]): Promise<boolean>;

  /** Calls `subscriber` with each piece of the job's text, until the returned function is called. */
  abstract subscribe(jobId: string, subscriber: PieceSubscriber): () => void;

  /**
   * Asks the attempt's worker for its text from `offset` on. The answer arrives as pieces, for all subscribers of the job in this process.
   * Never throws.
   * @returns whether the question was sent; if not, subscribers learn when to ask again
   */
  abstract ask(jobId: string, attempt: number, offset: number): Promise<boolean>;

  /** Calls `writer` when a reader asks for text of the job, until the returned function is called. */
  abstract answer(jobId: string, writer: Writer): () => void;
}
