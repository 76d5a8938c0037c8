import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { EntityManager } from 'typeorm';
import type { JobRow } from '#database/columns.js';
import { JobFeed } from '#feed/job-feed.js';
import { ReplyFeed } from '#feed/reply-feed.js';
import { readJobWithDraft } from '#jobs/read.js';
import type { EventStream } from '../http/event-stream.js';
import { OpenStreams, type StreamSlot } from '../limits/open-streams.js';
import { JobStream, type StreamRequest } from './job-stream.js';
import { StaggeredTimer } from './staggered-timer.js';
import { SharedReads } from './shared-reads.js';

/** How often an idle stream gets a beat, in milliseconds. */
const BEAT_MS = 10_000;

/** The event streams of this process, each of one job. */
@Injectable()
export class JobEvents implements BeforeApplicationShutdown {
  private readonly open = new StaggeredTimer<JobStream>(BEAT_MS, beat);
  private closing = false;

  constructor(
    private readonly manager: EntityManager,
    private readonly reads: SharedReads,
    private readonly jobs: JobFeed,
    private readonly replies: ReplyFeed,
    private readonly streams: OpenStreams,
  ) {}

  /** How many streams are open. */
  get size(): number {
    return this.open.size;
  }

  /** Takes one of the user's stream slots. The caller passes it to {@link stream}, or gives it back. @throws ServiceError `rate_limited` */
  reserve(userId: string): Promise<StreamSlot> {
    return this.streams.enter(userId);
  }

  /**
   * Streams a job from any state until it is final. A client that leaves does not affect the job. `accepted`: the row of a job that was
   * just accepted, which saves the first read. @throws ServiceError `not_found`
   */
  async stream(request: StreamRequest, slot: StreamSlot, accepted?: JobRow): Promise<EventStream> {
    const jobStream = new JobStream(request, this.reads, this.jobs, this.replies);
    jobStream.stream.onceClosed(this.open.add(jobStream));
    jobStream.endWithToken(2 * BEAT_MS);
    jobStream.stream.onceClosed(() => slot.leave());
    try {
      // The first read belongs to the client's request, so it does not queue behind the reads of other streams.
      await jobStream.start(() => readJobWithDraft(this.manager, request.jobId, request.userId), accepted);
    } catch (error) {
      jobStream.stream.destroy();
      throw error;
    }
    if (this.closing) jobStream.stream.end();
    return jobStream.stream;
  }

  /** Ends all streams properly. Their clients resume in another process. */
  beforeApplicationShutdown(): void {
    this.closing = true;
    this.open.stop();
    for (const { stream } of this.open.members()) stream.end();
  }
}

/** Sends a beat. If the token ends before the next beat, which may be late, a timer ends the stream with the token. */
function beat(jobStream: JobStream): void {
  jobStream.stream.beat();
  jobStream.endWithToken(2 * BEAT_MS);
}
