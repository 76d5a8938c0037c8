import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { ReplyFeed } from '#feed/reply-feed.js';
import { type JobWithDraft, readJobWithDraft } from '#jobs/read.js';
import { Semaphore } from '../limits/semaphore.js';
import type { TextPosition } from './text-position.js';

/** Most reads at a time: the pool must have connections left for requests. */
const AT_ONCE = 4;

/**
 * Reads and questions of streams after a change. All streams of a job learn of it at the same moment, and all streams of the process when
 * the feed was cut. One read, and one question, serves all streams that want it before it begins, and a few reads run at a time. With a
 * read for each stream, thousands would keep every request waiting for a connection.
 */
@Injectable()
export class SharedReads {
  /** Reads that have not begun. */
  private readonly due = new Map<string, Promise<JobWithDraft | undefined>>();
  private readonly reads = new Semaphore(AT_ONCE);
  /** Questions that were not sent yet, by job. */
  private readonly lacks = new Map<string, TextPosition>();

  constructor(
    private readonly manager: EntityManager,
    private readonly replies: ReplyFeed,
  ) {}

  /** Reads a user's job at some moment after this one. */
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

  /** Asks for an attempt's text from an offset on. The lowest offset of this moment counts for all. */
  ask(jobId: string, from: TextPosition): void {
    const asked = this.lacks.get(jobId);
    if (asked === undefined) {
      setImmediate(() => {
        const { attempt, offset } = this.lacks.get(jobId) ?? from;
        this.lacks.delete(jobId);
        void this.replies.ask(jobId, attempt, offset);
      });
    }
    if (asked === undefined || lacksMore(from, asked)) this.lacks.set(jobId, from);
  }
}

/** Nobody has the text of an attempt that is over. */
function lacksMore(one: TextPosition, other: TextPosition): boolean {
  return one.attempt > other.attempt || (one.attempt === other.attempt && one.offset < other.offset);
}
