import { Injectable } from '@nestjs/common';
import { type Piece, ReplyFeed } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Draft } from './draft.js';

/**
 * Shortest time between two publications of this process, in milliseconds. Text still seems to flow, and many attempts share one
 * publication. The time is shorter for pieces that a stream has asked for, since that stream waits.
 */
const COALESCE_MS = 40;
const ASKED_MS = 5;

/** Publishes the replies of all running attempts on the feed. What a stream asked for is sent soon, the rest in bundles. */
@Injectable()
export class ReplyPublisher {
  private readonly fresh = new Set<Draft>();
  /** Drafts for which a stream has asked and got nothing since. A stream asks as soon as it subscribes, even before there is a piece. */
  private readonly asked = new Set<Draft>();
  /** The next publication. */
  private next: { readonly at: number; readonly timer: NodeJS.Timeout | undefined } | undefined;
  private publishing = false;
  private last = 0;
  /** Listeners by job, called once the first piece of the attempt's text is published. */
  private readonly onFirst = new Map<string, () => void>();

  constructor(private readonly feed: ReplyFeed) {}

  /**
   * Lets streams ask for pieces of the draft until the returned function is called. `onFirst` is called when the first piece of text is
   * published.
   */
  open({ id, attempt }: ClaimedJob, draft: Draft, onFirst: () => void): () => void {
    this.onFirst.set(id, onFirst);
    const close = this.feed.answer(id, (has) => {
      if (has !== undefined && has.attempt !== attempt) return;
      draft.rewind(has);
      // If `has` is undefined, the feed was cut, and no stream waits.
      if (has !== undefined) this.asked.add(draft);
      this.touch(draft);
    });
    return () => {
      close();
      this.fresh.delete(draft);
      this.asked.delete(draft);
      this.onFirst.delete(id);
    };
  }

  /** Notes that the draft has unpublished pieces. */
  touch(draft: Draft): void {
    this.fresh.add(draft);
    this.plan(draft);
  }

  private plan(draft: Draft): void {
    const now = Date.now();
    const at = Math.max(now, this.last + (this.asked.has(draft) ? ASKED_MS : COALESCE_MS));
    if (this.publishing || (this.next !== undefined && this.next.at <= at)) return;
    clearTimeout(this.next?.timer);
    const publish = (): void => void this.publish();
    // The shortest timer takes a millisecond, `setImmediate` less. Both publish all pieces of the same event loop turn together.
    if (at === now) setImmediate(publish);
    this.next = { at, timer: at === now ? undefined : setTimeout(publish, at - now) };
  }

  private async publish(): Promise<void> {
    this.next = undefined;
    this.publishing = true;
    const drafts = [...this.fresh];
    this.fresh.clear();
    const pieces = drafts.flatMap((draft) => this.take(draft));
    // A question that comes before there is a piece must not delay the first one.
    if (pieces.length > 0) this.last = Date.now();
    // More arrives meanwhile. So a slow store makes larger pieces instead of a queue.
    if (pieces.length > 0 && !(await this.feed.publish(pieces))) {
      // No stream got the pieces. Once the feed is back, it asks all attempts for theirs; nothing can be sent before that.
      for (const draft of drafts) draft.rewind();
    } else {
      for (const { jobId, kind } of pieces) if (kind === 'text') this.publishedFirst(jobId);
    }
    this.publishing = false;
    for (const draft of this.fresh) this.plan(draft);
  }

  private take(draft: Draft): Piece[] {
    const pieces = draft.takePieces();
    if (pieces.length > 0) this.asked.delete(draft);
    return pieces;
  }

  private publishedFirst(jobId: string): void {
    this.onFirst.get(jobId)?.();
    this.onFirst.delete(jobId);
  }
}
