import type { SourcePart } from '#database/entities/part.js';

/** Which side of the feed a process is on: the API reads pieces, the worker writes them. */
export type FeedEnd = 'reads' | 'writes';

/**
 * A piece of the reply that an attempt makes: of its text, of its reasoning, or a source. Offsets count within all steps of the turn: UTF-16
 * code units, as JavaScript does, or sources.
 */
export type Piece = {
  readonly jobId: string;
  readonly attempt: number;
  readonly offset: number;
} & (
  | { readonly kind: 'text' | 'reasoning'; readonly text: string }
  | { readonly kind: 'source'; readonly source: SourcePart }
);

/** How much of a reply a reader has: the attempt, and for each kind of piece the offset of the next one. */
export interface Extent {
  readonly attempt: number;
  readonly text: number;
  readonly reasoning: number;
  readonly source: number;
}

/**
 * Called with each piece of one job's reply. `undefined`: pieces may have been missed, so read the row and ask (unless the job feed, on the
 * same connection, says so already).
 */
export type PieceSubscriber = (piece: Piece | undefined) => void;

/** Called with what a reader has, which lacks the rest. `undefined`: a question may have been missed, so readers may lack anything. */
export type Writer = (has: Extent | undefined) => void;

/**
 * Longest text of one piece, in UTF-16 code units. A notice of PostgreSQL has 8,000 bytes, and a code unit takes at most three; the rest is
 * for ids and offset. Redis would take more, but no piece needs it.
 */
export const LONGEST_PIECE = 2_500;

/**
 * The feed of replies in progress. The worker sends pieces to the processes whose clients stream them, and these ask for pieces that they
 * lack. Both travel through the queue's store, PostgreSQL or Redis.
 *
 * Nothing here is stored, and pieces may be lost. A reader that finds a gap, or comes late, asks the worker for the pieces from an offset on.
 * The rows have what the worker has saved. While the store is away nothing arrives and nothing waits to be sent. Once it is back,
 * both sides learn that they may have missed messages.
 */
export abstract class ReplyFeed {
  /** Sends pieces to all subscribers of their jobs, in any process. Never throws. @returns whether they were sent */
  abstract publish(pieces: readonly Piece[]): Promise<boolean>;

  /** Calls `subscriber` with each piece of the job's reply, until the returned function is called. */
  abstract subscribe(jobId: string, subscriber: PieceSubscriber): () => void;

  /**
   * Asks the attempt's worker for what a reader does not have. The answer arrives as pieces, for all subscribers of the job in this
   * process. Never throws.
   * @returns whether the question was sent; if not, subscribers learn when to ask again
   */
  abstract ask(jobId: string, has: Extent): Promise<boolean>;

  /** Calls `writer` when a reader asks for pieces of the job's reply, until the returned function is called. */
  abstract answer(jobId: string, writer: Writer): () => void;
}
