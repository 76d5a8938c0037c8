import { QUEUE_PREFIX } from '#queue/connection.js';
import { decodeExtent, decodePiece, encodeExtent, encodePiece } from './piece-format.js';
import type { RedisChannels } from './redis-channels.js';
import { Subscribers } from './subscribers.js';
import { type Extent, type FeedEnd, type PieceSubscriber, type Piece, ReplyFeed, type Writer } from './reply-feed.js';

/**
 * Channels: one for each job, whose name ends with its id, and one for all questions. All of Redis's databases share channels, and Redis
 * may serve others.
 */
const PIECES = `${QUEUE_PREFIX}:pieces:`;
const ASKED = `${QUEUE_PREFIX}:asked`;

/**
 * The reply feed over Redis's channels. Each job has a channel for its pieces, and a process subscribes to those of jobs that its clients
 * stream. Questions, a short one for each new reader, share one channel to all writers: a channel for each attempt would be joined and left
 * although most attempts have no reader.
 */
export class RedisReplyFeed extends ReplyFeed {
  private readonly subscribers: Subscribers<PieceSubscriber>;
  private readonly writers = new Subscribers<Writer>();

  constructor(
    private readonly channels: RedisChannels,
    end: FeedEnd,
  ) {
    super();
    this.subscribers = new Subscribers({
      first: (jobId) => channels.join(PIECES + jobId),
      last: (jobId) => channels.leave(PIECES + jobId),
    });
    if (end === 'writes') channels.join(ASKED);
  }

  /** Begins to listen. It neither waits for Redis nor fails without it. */
  start(): void {
    this.channels.start({
      received: (channel, message) => {
        if (channel.startsWith(PIECES)) this.receivedPiece(channel.slice(PIECES.length), message);
        else this.receivedQuestion(message);
      },
      missed: () => {
        for (const subscriber of this.subscribers.all()) subscriber(undefined);
        for (const writer of this.writers.all()) writer(undefined);
      },
    });
  }

  publish(pieces: readonly Piece[]): Promise<boolean> {
    return this.channels.publish(pieces.map((piece) => [PIECES + piece.jobId, encodePiece(piece)]));
  }

  subscribe(jobId: string, subscriber: PieceSubscriber): () => void {
    return this.subscribers.add(jobId, subscriber);
  }

  async ask(jobId: string, has: Extent): Promise<boolean> {
    // The answer arrives on the receiving connection. It would be lost if that connection has not subscribed yet.
    if (!(await this.channels.listensTo(PIECES + jobId))) return false;
    return this.channels.publish([[ASKED, `${jobId} ${encodeExtent(has)}`]]);
  }

  answer(jobId: string, writer: Writer): () => void {
    return this.writers.add(jobId, writer);
  }

  private receivedPiece(jobId: string, message: string): void {
    const piece = decodePiece(jobId, message);
    if (piece !== undefined) for (const subscriber of this.subscribers.of(jobId)) subscriber(piece);
  }

  private receivedQuestion(message: string): void {
    const [jobId = ''] = message.split(' ', 1);
    for (const writer of this.writers.of(jobId)) writer(decodeExtent(message.slice(jobId.length + 1)));
  }
}
