import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { ReplyFeed } from '#feed/reply-feed.js';
import { type JobWithDraft, readJobWithDraft } from '#jobs/read.js';
import { Semaphore } from '../limits/semaphore.js';
import type { TextPosition } from './text-position.js';

/** Most reads at a time: requests need connections of the pool, too. */
const AT_ONCE = 4;

/**
 * Reads jobs, and asks workers for text, on behalf of streams. After a change all streams of a job need a read at the same moment; after a
 * cut of the feed all streams of the process do. So the streams of a job share one read and one question, and only a few reads run at a
 * time. Thousands of separate reads would keep requests waiting for a connection.
 */
@Injectable()
export class SharedReads {
  /** Reads that have not begun. */
  private readonly due = new Map<string, Promise<JobWithDraft | undefined>>();
  private readonly reads = new Semaphore(AT_ONCE);
  /** Questions that have not been sent, by job. */
  private readonly lacks = new Map<string, TextPosition>();

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

  /** Asks for an attempt's text from an offset on. Questions of the same moment become one, with the lowest offset. */
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

/** Whether `one` asks for more than `other`. A later attempt counts as more: no worker has the text of an earlier one. */
function lacksMore(one: TextPosition, other: TextPosition): boolean {
  return one.attempt > other.attempt || (one.attempt === other.attempt && one.offset < other.offset);
}
