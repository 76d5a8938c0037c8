import { QUEUE_PREFIX } from '#queue/connection.js';
import { Listeners } from './listeners.js';
import type { RedisListener } from './redis-listener.js';
import { type FeedEnd, type Follower, type Piece, ReplyFeed, type Writer } from './reply-feed.js';

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
  private readonly followers: Listeners<Follower>;
  private readonly writers = new Listeners<Writer>();

  constructor(
    private readonly redis: RedisListener,
    end: FeedEnd,
  ) {
    super();
    this.followers = new Listeners({
      first: (jobId) => redis.join(PIECES + jobId),
      last: (jobId) => redis.leave(PIECES + jobId),
    });
    if (end === 'writes') redis.join(ASKED);
  }

  /** Begins to listen. It neither waits for Redis nor fails without it. */
  start(): void {
    this.redis.start({
      heard: (channel, message) => {
        if (channel.startsWith(PIECES)) this.heardPiece(channel.slice(PIECES.length), message);
        else this.heardAsked(message);
      },
      missed: () => {
        for (const follower of this.followers.all()) follower(undefined);
        for (const writer of this.writers.all()) writer(undefined);
      },
    });
  }

  publish(pieces: readonly Piece[]): Promise<boolean> {
    return this.redis.say(
      pieces.map(({ jobId, attempt, offset, text }) => [PIECES + jobId, `${attempt} ${offset} ${text}`]),
    );
  }

  follow(jobId: string, follower: Follower): () => void {
    return this.followers.add(jobId, follower);
  }

  async ask(jobId: string, attempt: number, offset: number): Promise<boolean> {
    // The answer arrives on another connection than the one that asks. It would be lost before that one has subscribed.
    if (!(await this.redis.listensTo(PIECES + jobId))) return false;
    return this.redis.say([[ASKED, `${jobId} ${attempt} ${offset}`]]);
  }

  answer(jobId: string, writer: Writer): () => void {
    return this.writers.add(jobId, writer);
  }

  private heardPiece(jobId: string, message: string): void {
    const [attempt = '', offset = ''] = message.split(' ', 2);
    const text = message.slice(attempt.length + offset.length + 2);
    const piece = { jobId, attempt: Number(attempt), offset: Number(offset), text };
    for (const follower of this.followers.of(jobId)) follower(piece);
  }

  private heardAsked(message: string): void {
    const [jobId = '', attempt, offset] = message.split(' ');
    for (const writer of this.writers.of(jobId)) writer({ attempt: Number(attempt), offset: Number(offset) });
  }
}
