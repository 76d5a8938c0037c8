import { Injectable } from '@nestjs/common';
import { type Piece, ReplyFeed } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Draft } from './draft.js';

/**
 * Shortest time between two publications of this process, in milliseconds: a reader sees text flow, and many attempts
 * share one statement. Whoever asks for text lacks what comes next, and waits for it; it follows the last publication sooner.
 */
const COALESCE_MS = 40;
const ASKED_MS = 5;

/** Hands the text of all running attempts out to whoever follows them: what is asked for at once, the rest in bundles. */
@Injectable()
export class ReplyPublisher {
  private readonly fresh = new Set<Draft>();
  /** Drafts of which somebody asked for text, and was sent none since: who begins to follow asks before there is any. */
  private readonly asked = new Set<Draft>();
  /** The next publication. */
  private next: { readonly at: number; readonly timer: NodeJS.Timeout | undefined } | undefined;
  private publishing = false;
  private last = 0;
  /** Who is to be told once the first piece of an attempt's text has left, by job. */
  private readonly onFirst = new Map<string, () => void>();

  constructor(private readonly feed: ReplyFeed) {}

  /**
   * Lets followers ask for text of the draft, until the returned function is called. `onFirst` is called when the first piece has
   * left.
   */
  open({ id, attempt }: ClaimedJob, draft: Draft, onFirst: () => void): () => void {
    this.onFirst.set(id, onFirst);
    const close = this.feed.answer(id, (lacks) => {
      if (lacks !== undefined && lacks.attempt !== attempt) return;
      draft.rewind(lacks?.offset);
      // Without a place it is the feed that was cut: that is no reader who waits.
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

  /** The draft has text that was not handed out. */
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
    // No timer is shorter than a millisecond; the text of one moment goes together either way.
    if (at === now) setImmediate(publish);
    this.next = { at, timer: at === now ? undefined : setTimeout(publish, at - now) };
  }

  private async publish(): Promise<void> {
    this.next = undefined;
    this.publishing = true;
    const drafts = [...this.fresh];
    this.fresh.clear();
    const pieces = drafts.flatMap((draft) => this.take(draft));
    // Whoever asks before there is any text must not keep its first piece from leaving at once.
    if (pieces.length > 0) this.last = Date.now();
    // While this is under way, more text comes together: a slow store makes for larger pieces, not for a queue of them.
    if (pieces.length > 0 && !(await this.feed.publish(pieces))) {
      // Nobody got them. The feed has every writer look once it is back; until then nothing can be sent.
      for (const draft of drafts) draft.rewind();
    } else {
      for (const { jobId } of pieces) this.saidFirst(jobId);
    }
    this.publishing = false;
    for (const draft of this.fresh) this.plan(draft);
  }

  private take(draft: Draft): Piece[] {
    const pieces = draft.takePieces();
    if (pieces.length > 0) this.asked.delete(draft);
    return pieces;
  }

  private saidFirst(jobId: string): void {
    this.onFirst.get(jobId)?.();
    this.onFirst.delete(jobId);
  }
}
