import { Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import { ReplyFeed } from '#feed/reply-feed.js';
import { type JobWithDraft, readJobWithDraft } from '#jobs/read.js';
import type { Position } from './position.js';

/** How many looks are under way at most: the pool has connections left for requests. */
const AT_ONCE = 4;

/**
 * What streams look up and ask for once something has changed. All who follow a job are told in the same moment, and all streams of
 * the process when the feed was cut. One look, and one question, serves all who want it before it is begun, and looks are
 * taken a few at a time: each for itself, thousands of them would keep every request waiting for a connection.
 */
@Injectable()
export class SharedLooks {
  /** Looks that have not begun. */
  private readonly due = new Map<string, Promise<JobWithDraft | undefined>>();
  private readonly line: (() => void)[] = [];
  private free = AT_ONCE;
  /** Questions that were not asked yet, by job. */
  private readonly lacks = new Map<string, Position>();

  constructor(
    private readonly manager: EntityManager,
    private readonly replies: ReplyFeed,
  ) {}

  /** A user's job, as it is at some moment after this one. */
  look(jobId: string, userId: string): Promise<JobWithDraft | undefined> {
    const key = `${jobId} ${userId}`;
    let look = this.due.get(key);
    if (look === undefined) {
      look = this.inLine(() => {
        this.due.delete(key);
        return readJobWithDraft(this.manager, jobId, userId);
      });
      this.due.set(key, look);
    }
    return look;
  }

  /** Asks for an attempt's text from a position on; whoever lacks more of it, in this moment, asks for all. */
  ask(jobId: string, from: Position): void {
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

  private async inLine<T>(look: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.line.push(resolve));
    try {
      // Whoever is told in the same moment comes along.
      await Promise.resolve();
      return await look();
    } finally {
      const next = this.line.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }
}

/** Of an attempt that is over nobody has text any more. */
function lacksMore(one: Position, other: Position): boolean {
  return one.attempt > other.attempt || (one.attempt === other.attempt && one.offset < other.offset);
}
