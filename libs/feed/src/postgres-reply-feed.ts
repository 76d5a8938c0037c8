import type { Listener } from './listener.js';
import { Listeners } from './listeners.js';
import { type FeedEnd, type Follower, type Piece, ReplyFeed, type Writer } from './reply-feed.js';

const PIECES = 'rejoinder_pieces';
const ASKED = 'rejoinder_asked';

/**
 * The reply feed over PostgreSQL's notices, on the connection that is there for the job feed. All jobs share one channel: a channel for
 * each job would cost a LISTEN, and with every notice a search through all channels of all sessions.
 */
export class PostgresReplyFeed extends ReplyFeed {
  private readonly followers = new Listeners<Follower>();
  private readonly writers = new Listeners<Writer>();

  constructor(
    private readonly listener: Listener,
    end: FeedEnd,
  ) {
    super();
    if (end === 'reads') {
      // Missed pieces need no notice of their own: the job feed, on the same connection, has subscribers read the row.
      listener.on(PIECES, { heard: (payload) => this.heardPiece(payload), missed: () => undefined });
    } else {
      listener.on(ASKED, { heard: (payload) => this.heardAsked(payload), missed: () => this.missedAsked() });
    }
  }

  publish(pieces: readonly Piece[]): Promise<boolean> {
    return this.listener.notify(
      PIECES,
      pieces.map(({ jobId, attempt, offset, text }) => `${jobId} ${attempt} ${offset} ${text}`),
    );
  }

  follow(jobId: string, follower: Follower): () => void {
    return this.followers.add(jobId, follower);
  }

  ask(jobId: string, attempt: number, offset: number): Promise<boolean> {
    return this.listener.notify(ASKED, [`${jobId} ${attempt} ${offset}`]);
  }

  answer(jobId: string, writer: Writer): () => void {
    return this.writers.add(jobId, writer);
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
