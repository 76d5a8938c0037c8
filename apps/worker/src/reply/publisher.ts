import { Injectable } from '@nestjs/common';
import { ReplyFeed } from '#feed/reply-feed.js';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Draft } from './draft.js';

/**
 * Shortest time between two publications of this process, in milliseconds: a reader sees text flow, and many attempts
 * share one statement.
 */
const COALESCE_MS = 40;

/** Hands the text of all running attempts out to whoever follows them: the first piece at once, then in bundles. */
@Injectable()
export class ReplyPublisher {
  private readonly fresh = new Set<Draft>();
  private timer: NodeJS.Timeout | undefined;
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
      this.touch(draft);
    });
    return () => {
      close();
      this.fresh.delete(draft);
      this.onFirst.delete(id);
    };
  }

  /** The draft has text that was not handed out. */
  touch(draft: Draft): void {
    this.fresh.add(draft);
    this.timer ??= setTimeout(() => void this.publish(), Math.max(0, this.last + COALESCE_MS - Date.now()));
  }

  private async publish(): Promise<void> {
    const drafts = [...this.fresh];
    this.fresh.clear();
    const pieces = drafts.flatMap((draft) => draft.takePieces());
    // Whoever asks before there is any text must not keep its first piece from leaving at once.
    if (pieces.length > 0) this.last = Date.now();
    // While this is under way, more text comes together: a slow store makes for larger pieces, not for a queue of them.
    if (pieces.length > 0 && !(await this.feed.publish(pieces))) {
      // Nobody got them. The feed has every writer look once it is back; until then nothing can be sent.
      for (const draft of drafts) draft.rewind();
    } else {
      for (const { jobId } of pieces) this.saidFirst(jobId);
    }
    this.timer = undefined;
    const [draft] = this.fresh;
    if (draft !== undefined) this.touch(draft);
  }

  private saidFirst(jobId: string): void {
    this.onFirst.get(jobId)?.();
    this.onFirst.delete(jobId);
  }
}
