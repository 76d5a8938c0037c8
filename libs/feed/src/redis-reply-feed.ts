import { QUEUE_PREFIX } from '#queue/connection.js';
import { Listeners } from './listeners.js';
import type { RedisListener } from './redis-listener.js';
import { type FeedEnd, type Follower, type Piece, ReplyFeed, type Writer } from './reply-feed.js';

/** Channels: one for each job, with its id behind, and one for all questions. Redis has them once for all its databases, and may serve others. */
const PIECES = `${QUEUE_PREFIX}:pieces:`;
const ASKED = `${QUEUE_PREFIX}:asked`;

/**
 * The reply feed over Redis's channels. For its pieces each job has its own, and a process listens to those of the jobs that are followed
 * there: it hears nothing of the others. Questions, a short one for each reader who comes, go to whoever writes anything: a
 * channel for each attempt would be entered and left though most have no reader.
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

  /** Begins to listen; neither waits for Redis nor fails without it. */
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
    // The answer comes by another connection than the question goes: until that one is known to hear it, it would be lost.
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
