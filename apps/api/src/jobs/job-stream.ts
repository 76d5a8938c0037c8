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
import type { StepEnd } from '#jobs/steps.js';
import { logLine } from '#process/log-line.js';
import { whenTokenEnds } from '../auth/token-end.js';
import { EventStream } from '../http/event-stream.js';
import { presentMessage } from '../messages/present-message.js';
import { END, eventId, type TextPosition } from './text-position.js';
import { presentJob } from './present-job.js';
import { presentToolCall } from './present-tool-call.js';
import type { SharedReads } from './shared-reads.js';

/** Shortest time between two questions for missing text, in milliseconds. */
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
  private have: TextPosition;
  private shownState = '';
  /** The states of the tool calls that the client has seen, by id. */
  private readonly shownCalls = new Map<string, string>();
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
    this.have = request.from;
    this.stream.onceClosed(jobs.subscribe(request.jobId, () => this.changed()));
    this.stream.onceClosed(
      replies.subscribe(request.jobId, (piece) => (piece === undefined ? this.changed() : this.received(piece))),
    );
  }

  /** Begins the stream, from where the client is. @throws ServiceError `not_found` */
  async start(read: Read, accepted?: JobRow): Promise<void> {
    if (accepted !== undefined) {
      // The job is committed, so the client must learn of it even if the database is away now.
      this.showState(accepted, eventId(this.have));
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
    this.showAttempt(job.attempts, job.stepEnds ?? []);
    if (isFinal(job.status)) return this.showEnd(job, message, toolCalls);
    // A call follows the text of its step, and comes before the state that waits for it.
    if (job.step > 0) this.showText(job.draft);
    this.showCalls(toolCalls);
    this.showState(job, eventId(this.have), null, toolCalls);
    if (job.status !== 'running') return;
    this.showText(job.draft);
    // The worker may have more text than the row.
    this.ask();
  }

  private received(piece: Piece): void {
    if (this.reading !== undefined) {
      this.waiting.push(piece);
      return;
    }
    const { attempt, offset } = this.have;
    if (piece.attempt < attempt) return;
    if (piece.attempt > attempt) return this.changed();
    if (piece.offset > offset) return this.ask();
    const text = piece.text.slice(offset - piece.offset);
    if (text !== '') this.showDelta(text);
  }

  /** Asks for the text that the client lacks: at once, or as soon as it may ask again. */
  private ask(): void {
    this.asking ??= setTimeout(
      () => {
        this.asking = undefined;
        this.asked = Date.now();
        if (!this.stream.closed) this.reads.ask(this.request.jobId, this.have);
      },
      Math.max(0, this.asked + ASK_AGAIN_MS - Date.now()),
    );
  }

  /**
   * Attempts share only the text of finished steps. The client has a step's text only if the attempt that it saw, or an earlier one,
   * finished the step. A client that saw a later attempt has text of another job, or of a lost database.
   */
  private showAttempt(attempt: number, steps: readonly StepEnd[]): void {
    const { have } = this;
    if (have.attempt === attempt) return;
    const seen = have.attempt > attempt ? [] : steps.filter((step) => step.attempt <= have.attempt);
    const offset = Math.min(have.offset, Math.max(0, ...seen.map(({ endsAt }) => endsAt)));
    this.have = { attempt, offset };
    // Before an attempt begins there is no text. If the client has some, it belongs to another job, or to a lost database.
    if (offset < have.offset) this.send('reset', eventId(this.have), { attempt: Math.max(attempt, 1), offset });
  }

  /** Sends the tool calls whose state the client has not seen. */
  private showCalls(toolCalls: readonly ToolCallRow[]): void {
    for (const call of toolCalls) {
      if (this.shownCalls.get(call.id) === call.status) continue;
      this.shownCalls.set(call.id, call.status);
      this.send('tool_call', eventId(this.have), presentToolCall(call));
    }
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

  /** Sends the part of the text that the client lacks. */
  private showText(text: string): void {
    if (text.length > this.have.offset) this.showDelta(text.slice(this.have.offset));
  }

  private showDelta(text: string): void {
    const { attempt, offset } = this.have;
    this.have = { attempt, offset: offset + text.length };
    this.send('delta', eventId(this.have), { offset, text });
  }

  private showEnd(job: JobRow, message: MessageRow | null, toolCalls: readonly ToolCallRow[]): void {
    this.showCalls(toolCalls);
    if (message !== null) {
      this.showText(message.content);
      this.send('message', eventId(this.have), presentMessage(message));
    }
    if (job.status === 'failed') {
      this.send('failure', eventId(this.have), errorBody(assistantFailed(job), this.request.requestId));
    }
    this.showState(job, END, message);
    this.stream.end();
  }
}
