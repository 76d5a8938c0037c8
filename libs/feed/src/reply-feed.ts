/** Which end of the feed a process is at: the API reads pieces, the worker writes them. */
export type FeedEnd = 'reads' | 'writes';

/** A stretch of the text that an attempt is writing. Offsets count UTF-16 code units, as JavaScript does. */
export interface Piece {
  readonly jobId: string;
  readonly attempt: number;
  readonly offset: number;
  readonly text: string;
}

/**
 * Told each piece of one job's text; `undefined` says "look for yourself, and ask: pieces may have been missed" (where the job
 * feed, on the same connection, does not say so already).
 */
export type Follower = (piece: Piece | undefined) => void;

/** Told what somebody lacks; `undefined` says "a question may have been missed: it may be anything". */
export type Writer = (lacks: Pick<Piece, 'attempt' | 'offset'> | undefined) => void;

/**
 * Longest text of one piece, in UTF-16 code units. A notice of PostgreSQL has 8,000 bytes; a code unit has three at most, and
 * the rest is for the piece's address. Redis would take more, and nobody would be the better for it.
 */
export const LONGEST_PIECE = 2_500;

/**
 * What the two apps say to one another of replies while they are written: the text, from the worker to whoever follows one,
 * and what is asked of the worker. It goes where the queue is: over PostgreSQL, or over Redis.
 *
 * Nothing here is kept, and pieces may get lost: whoever finds a gap, or comes late, asks the worker for the text from a
 * position on. What the worker has written for good is in the row. While the store is away nothing is heard and nothing waits
 * to be sent; once it is back both ends are told that they may have missed something.
 */
export abstract class ReplyFeed {
  /** Sends pieces to all who follow their jobs, in any process. Never throws. @returns whether they were sent */
  abstract publish(pieces: readonly Piece[]): Promise<boolean>;

  /** Calls `follower` with each piece of the job until the returned function is called. */
  abstract follow(jobId: string, follower: Follower): () => void;

  /**
   * Asks whoever runs the attempt for its text from `offset` on; it comes as pieces, to whoever in this process follows the job
   * by then. Never throws. @returns whether it was asked; if not, followers are told once it makes sense to ask again
   */
  abstract ask(jobId: string, attempt: number, offset: number): Promise<boolean>;

  /** Calls `writer` when somebody asks for text of the job, until the returned function is called. */
  abstract answer(jobId: string, writer: Writer): () => void;
}
