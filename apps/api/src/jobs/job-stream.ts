import { Logger } from '@nestjs/common';
import type { JobRow, MessageRow } from '#database/columns.js';
import { errorBody } from '#errors/error-body.js';
import { assistantFailed, notFound, ServiceError } from '#errors/service-error.js';
import { isStoreAway } from '#errors/store-away.js';
import type { JobFeed } from '#feed/job-feed.js';
import type { Piece, ReplyFeed } from '#feed/reply-feed.js';
import type { JobWithDraft } from '#jobs/read.js';
import type { ToolCallRow } from '#jobs/tool-calls.js';
import { isFinal } from '#jobs/states.js';
import { logLine } from '#process/log-line.js';
import { whenTokenEnds } from '../auth/token-end.js';
import { EventStream } from '../http/event-stream.js';
import { presentMessage } from '../messages/present-message.js';
import { presentJob } from './present-job.js';
import type { SharedReads } from './shared-reads.js';
import { ShownReply } from './shown-reply.js';
import { END, type TextPosition } from './text-position.js';

/** Shortest time between two questions for missing pieces, in milliseconds. */
const ASK_AGAIN_MS = 250;

const logger = new Logger('events');

/** Reads the row. */
export type Read = () => Promise<JobWithDraft | undefined>;

/** A stream: its user, its job, and where it begins. */
export interface StreamRequest {
  readonly jobId: string;
  readonly userId: string;
  readonly requestId: string;
  /** The text that the client has. */
  readonly from: TextPosition;
  /** When the caller's token ends (milliseconds since the epoch): the stream ends with it, and sends nothing later. */
  readonly until: number;
}

/** One client's stream of a job. The row is decisive: notices say when to read it, and pieces are sent in between. */
export class JobStream {
  readonly stream = new EventStream();
  private readonly shown: ShownReply;
  private shownState = '';
  private stale = true;
  private reading: Promise<void> | undefined;
  private waiting: Piece[] = [];
  private asked = 0;
  private asking: NodeJS.Timeout | undefined;
  private endsWithToken = false;

  constructor(
    readonly request: StreamRequest,
    private readonly reads: SharedReads,
    jobs: JobFeed,
    replies: ReplyFeed,
  ) {
    this.shown = new ShownReply(request.from, (event, id, data) => this.send(event, id, data));
    this.stream.onceClosed(jobs.subscribe(request.jobId, () => this.changed()));
    this.stream.onceClosed(
      replies.subscribe(request.jobId, (piece) => (piece === undefined ? this.changed() : this.received(piece))),
    );
  }

  /** Begins the stream, from where the client is. @throws ServiceError `not_found` */
  async start(read: Read, accepted?: JobRow): Promise<void> {
    if (accepted !== undefined) {
      // The job is committed, so the client must learn of it even if the database is away now.
      this.showState(accepted, this.shown.id);
      return this.readAgain(read);
    }
    this.reading = this.readAndShow(read);
    try {
      await this.reading;
    } finally {
      this.reading = undefined;
    }
    this.afterRead();
  }

  /** Ends the stream with its token, if the token ends within `ms`. So only few streams need a timer at a time. */
  endWithToken(ms: number): void {
    const { until } = this.request;
    if (this.endsWithToken || until - Date.now() > ms) return;
    this.endsWithToken = true;
    this.stream.onceClosed(whenTokenEnds(until, () => this.stream.end()));
  }

  private changed(): void {
    this.stale = true;
    if (this.reading === undefined && !this.stream.closed) this.readAgain();
  }

  private readAgain(read: Read = () => this.reads.read(this.request.jobId, this.request.userId)): void {
    this.reading = this.readAndShow(read)
      .catch((error: unknown) => {
        // The client reconnects and sees the current state.
        const { jobId, requestId } = this.request;
        // The chat was deleted. A client that reconnects gets the error.
        if (error instanceof ServiceError && error.code === 'not_found') return this.stream.end();
        const entry = logLine('a stream failed', { request_id: requestId, job_id: jobId }, error);
        if (isStoreAway(error)) logger.warn(entry);
        else logger.error(entry);
        this.stream.end();
      })
      .finally(() => {
        this.reading = undefined;
        this.afterRead();
      });
  }

  private afterRead(): void {
    for (const piece of this.waiting.splice(0)) this.received(piece);
    if (this.stale && this.reading === undefined && !this.stream.closed) this.readAgain();
  }

  private async readAndShow(read: Read): Promise<void> {
    this.stale = false;
    const found = await read();
    if (found === undefined) throw notFound('job');
    const { job, message, toolCalls = [] } = found;
    const { shown } = this;
    shown.begin(job.attempts, job.steps ?? [], job.mayHaveReasoned);
    if (isFinal(job.status)) return this.showEnd(job, message, toolCalls);
    // A call comes before the state that waits for it.
    shown.showSteps(job, toolCalls);
    this.showState(job, shown.id, null, toolCalls);
    if (job.status !== 'running') return;
    shown.showDraft(job);
    // The worker may have more than the rows.
    this.ask();
  }

  private received(piece: Piece): void {
    if (this.reading !== undefined) {
      this.waiting.push(piece);
      return;
    }
    const { attempt } = this.shown.extent;
    if (piece.attempt < attempt) return;
    if (piece.attempt > attempt) return this.changed();
    if (!this.shown.take(piece)) this.ask();
  }

  /** Asks for what the client lacks: at once, or as soon as it may ask again. */
  private ask(): void {
    this.asking ??= setTimeout(
      () => {
        this.asking = undefined;
        this.asked = Date.now();
        if (!this.stream.closed) this.reads.ask(this.request.jobId, this.shown.extent);
      },
      Math.max(0, this.asked + ASK_AGAIN_MS - Date.now()),
    );
  }

  private showState(
    job: JobRow,
    id: string,
    message: MessageRow | null = null,
    toolCalls: readonly ToolCallRow[] = [],
  ): void {
    const state = `${job.status} ${job.attempts}`;
    if (state === this.shownState) return;
    this.shownState = state;
    this.send('job', id, presentJob(job, message, toolCalls));
  }

  private send(event: string, id: string, data: object): void {
    if (Date.now() < this.request.until) this.stream.send(event, id, data);
    else this.stream.end();
  }

  private showEnd(job: JobRow, message: MessageRow | null, toolCalls: readonly ToolCallRow[]): void {
    const { shown } = this;
    if (message !== null) shown.showMessage(message, toolCalls);
    shown.showCalls(toolCalls);
    if (message !== null) this.send('message', shown.id, presentMessage(message));
    if (job.status === 'failed') {
      this.send('failure', shown.id, errorBody(assistantFailed(job), this.request.requestId));
    }
    this.showState(job, END, message);
    this.stream.end();
  }
}
