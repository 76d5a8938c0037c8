import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { type Extent, ReplyFeed } from '#feed/reply-feed.js';
import { type JobWithDraft, readJobWithDraft } from '#jobs/read.js';
import { Semaphore } from '../limits/semaphore.js';

/** Most reads at a time: requests need connections of the pool, too. */
const AT_ONCE = 4;

/**
 * Reads jobs, and asks workers for pieces, on behalf of streams. After a change all streams of a job need a read at the same moment; after a
 * cut of the feed all streams of the process do. So the streams of a job share one read and one question, and only a few reads run at a
 * time. Thousands of separate reads would keep requests waiting for a connection.
 */
@Injectable()
export class SharedReads {
  /** Reads that have not begun. */
  private readonly due = new Map<string, Promise<JobWithDraft | undefined>>();
  private readonly reads = new Semaphore(AT_ONCE);
  /** Questions that have not been sent, by job. */
  private readonly lacks = new Map<string, Extent>();

  constructor(
    private readonly manager: EntityManager,
    private readonly replies: ReplyFeed,
  ) {}

  /** Reads a user's job at some moment after the call. */
  read(jobId: string, userId: string): Promise<JobWithDraft | undefined> {
    const key = `${jobId} ${userId}`;
    let read = this.due.get(key);
    if (read === undefined) {
      read = this.reads.run(async () => {
        // Streams that learn of the change at the same moment join.
        await Promise.resolve();
        this.due.delete(key);
        return readJobWithDraft(this.manager, jobId, userId);
      });
      this.due.set(key, read);
    }
    return read;
  }

  /** Asks for what a stream does not have of an attempt. Questions of the same moment become one, for all that is lacking. */
  ask(jobId: string, has: Extent): void {
    const asked = this.lacks.get(jobId);
    if (asked === undefined) {
      setImmediate(() => {
        const least = this.lacks.get(jobId) ?? has;
        this.lacks.delete(jobId);
        void this.replies.ask(jobId, least);
      });
    }
    this.lacks.set(jobId, asked === undefined ? has : leastOf(has, asked));
  }
}

/** What both have. Only the later attempt counts: no worker has the pieces of an earlier one. */
function leastOf(one: Extent, other: Extent): Extent {
  if (one.attempt !== other.attempt) return one.attempt > other.attempt ? one : other;
  return {
    attempt: one.attempt,
    text: Math.min(one.text, other.text),
    reasoning: Math.min(one.reasoning, other.reasoning),
    source: Math.min(one.source, other.source),
  };
}
