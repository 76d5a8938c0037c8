import type { PgNotifications } from './pg-notifications.js';
import { decodeExtent, decodePiece, encodeExtent, encodePiece } from './piece-format.js';
import { type Extent, type FeedEnd, type PieceSubscriber, type Piece, ReplyFeed, type Writer } from './reply-feed.js';
import { Subscribers } from './subscribers.js';

const PIECES = 'rejoinder_pieces';
const ASKED = 'rejoinder_asked';

/**
 * The reply feed over PostgreSQL's notices, on the job feed's connection. All jobs share one channel: a channel for each job would cost a
 * LISTEN, and with every notice a search through all channels of all sessions.
 */
export class PostgresReplyFeed extends ReplyFeed {
  private readonly subscribers = new Subscribers<PieceSubscriber>();
  private readonly writers = new Subscribers<Writer>();

  constructor(
    private readonly notifications: PgNotifications,
    end: FeedEnd,
  ) {
    super();
    if (end === 'reads') {
      // Missed pieces need no notice of their own: the job feed, on the same connection, makes its subscribers read the row.
      notifications.on(PIECES, { received: (payload) => this.receivedPiece(payload), missed: () => undefined });
    } else {
      notifications.on(ASKED, {
        received: (payload) => this.receivedQuestion(payload),
        missed: () => this.missedQuestion(),
      });
    }
  }

  publish(pieces: readonly Piece[]): Promise<boolean> {
    return this.notifications.notify(
      PIECES,
      pieces.map((piece) => `${piece.jobId} ${encodePiece(piece)}`),
    );
  }

  subscribe(jobId: string, subscriber: PieceSubscriber): () => void {
    return this.subscribers.add(jobId, subscriber);
  }

  ask(jobId: string, has: Extent): Promise<boolean> {
    return this.notifications.notify(ASKED, [`${jobId} ${encodeExtent(has)}`]);
  }

  answer(jobId: string, writer: Writer): () => void {
    return this.writers.add(jobId, writer);
  }

  private receivedPiece(payload: string): void {
    const [jobId = ''] = payload.split(' ', 1);
    const subscribers = this.subscribers.of(jobId);
    if (subscribers.length === 0) return;
    const piece = decodePiece(jobId, payload.slice(jobId.length + 1));
    if (piece !== undefined) for (const subscriber of subscribers) subscriber(piece);
  }

  private missedQuestion(): void {
    for (const writer of this.writers.all()) writer(undefined);
  }

  private receivedQuestion(payload: string): void {
    const [jobId = ''] = payload.split(' ', 1);
    for (const writer of this.writers.of(jobId)) writer(decodeExtent(payload.slice(jobId.length + 1)));
  }
}
