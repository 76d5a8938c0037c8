import { Injectable } from '@nestjs/common';
import { type Piece, ReplyFeed } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Draft } from './draft.js';

/**
 * Shortest time between two publications of this process, in milliseconds: readers see text flow, and many attempts share one statement.
 * It is shorter for text that a reader has asked for, since that reader waits.
 */
const COALESCE_MS = 40;
const ASKED_MS = 5;

/** Publishes the text of all running attempts on the feed: text that a reader asked for soon, the rest in bundles. */
@Injectable()
export class ReplyPublisher {
  private readonly fresh = new Set<Draft>();
  /** Drafts of which a reader asked for text and got none since. A reader asks as soon as it subscribes, before there is text. */
  private readonly asked = new Set<Draft>();
  /** The next publication. */
  private next: { readonly at: number; readonly timer: NodeJS.Timeout | undefined } | undefined;
  private publishing = false;
  private last = 0;
  /** By job: called once the first piece of the attempt's text is published. */
  private readonly onFirst = new Map<string, () => void>();

  constructor(private readonly feed: ReplyFeed) {}

  /**
   * Lets readers ask for text of the draft until the returned function is called. `onFirst` is called when the first piece is
   * published.
   */
  open({ id, attempt }: ClaimedJob, draft: Draft, onFirst: () => void): () => void {
    this.onFirst.set(id, onFirst);
    const close = this.feed.answer(id, (lacks) => {
      if (lacks !== undefined && lacks.attempt !== attempt) return;
      draft.rewind(lacks?.offset);
      // Without an offset the feed itself was cut, and no reader waits.
      if (lacks !== undefined) this.asked.add(draft);
      this.touch(draft);
    });
    return () => {
      close();
      this.fresh.delete(draft);
      this.asked.delete(draft);
      this.onFirst.delete(id);
    };
  }

  /** The draft has text that was not published. */
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
    // No timer is shorter than a millisecond. Text of the same event loop turn is published together either way.
    if (at === now) setImmediate(publish);
    this.next = { at, timer: at === now ? undefined : setTimeout(publish, at - now) };
  }

  private async publish(): Promise<void> {
    this.next = undefined;
    this.publishing = true;
    const drafts = [...this.fresh];
    this.fresh.clear();
    const pieces = drafts.flatMap((draft) => this.take(draft));
    // A reader that asks before there is text must not delay the first piece.
    if (pieces.length > 0) this.last = Date.now();
    // More text arrives meanwhile: a slow store makes pieces larger, and does not make a queue of them.
    if (pieces.length > 0 && !(await this.feed.publish(pieces))) {
      // No reader got them. The feed asks every writer for its text once it is back; nothing can be sent before that.
      for (const draft of drafts) draft.rewind();
    } else {
      for (const { jobId } of pieces) this.publishedFirst(jobId);
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
