import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { ConnectionError, TurnError } from './errors.js';
import { type Http, type HttpRequest, isPassing, LONGEST_TEXT, segment } from './http.js';
import { readEvent, type ReceivedEvent } from './read-event.js';
import { type ReplyEvent, ReplySoFar } from './reply-so-far.js';
import { type ErrorBody, isFinal, type Job, type Message, type SourcePart, type ToolCall } from './types.js';
import { linked, LONGEST_ASKED_MS, pause, retryDelay } from './waiting.js';

/** An event of a job. */
export type JobEvent =
  /** The job's state: first, at each change, and last when it is final. */
  | { readonly type: 'job'; readonly job: Job }
  | ReplyEvent
  /** The job failed. The `job` that follows says why, and then the loop throws a `TurnError`. */
  | { readonly type: 'failure'; readonly error: ErrorBody };

export interface FollowOptions {
  /** Ends the loop, with the signal's reason. It never cancels the turn. */
  readonly signal?: AbortSignal;
  /** The `lastEventId` of an earlier loop. Only later text comes; reasoning, sources and tool calls come from the first on. */
  readonly lastEventId?: string;
}

/** The id of a stream's last event. */
const END = 'end';

/** In milliseconds. The service sends a beat every 10 s, so a stream that is silent for longer is dead. */
const LONGEST_SILENCE_MS = 30_000;

/** The pause before a new connection after the service's goodbye: the default, and the shortest one; in milliseconds. */
const RETRY_MS = 1_000;
const SOONEST_MS = 250;

/** In milliseconds. A connection that held for so long was a good one, even if it brought nothing new. */
const HELD_MS = 5_000;

/**
 * In milliseconds, not counting the time between connections. Streams that bring nothing new for so long are given up: a turn ends after an
 * hour, and an attempt that is under way then ends soon after. The time in which a turn waits for a person does not count.
 */
const LONGEST_STILL_MS = 2 * 60 * 60_000;

/**
 * The events of a job until it is final. Each piece of text and reasoning, each source, and each state of a tool call comes once, even if
 * connections break. Read it once, with `for
 * await`, which throws at the end if the turn failed. Leaving the loop leaves the stream, and the turn goes on.
 */
export class JobEvents implements AsyncIterable<JobEvent> {
  private begun = false;
  private readonly soFar: ReplySoFar;
  private retryMs = RETRY_MS;
  /** How many new states of the job have come. */
  private states = 0;
  /** How long streams have been open since the last new thing. */
  private stillMs = 0;

  /** The job's id; undefined until the service has accepted the streamed turn. */
  jobId: string | undefined;
  /** The latest known state of the job. */
  job: Job | undefined;
  /** The id of the last event that was read. A later loop, here or elsewhere, can go on from it. */
  lastEventId: string | undefined;

  /** `source` is a job's id, or the request that sends the turn. `Rejoinder` calls this. */
  constructor(
    private readonly http: Http,
    private readonly source: string | HttpRequest,
    private readonly options: FollowOptions = {},
  ) {
    if (typeof source === 'string') this.jobId = source;
    this.lastEventId = options.lastEventId;
    this.soFar = new ReplySoFar(this.lastEventId);
  }

  /** The reply so far. With `lastEventId`, only the text after it. */
  get text(): string {
    return this.soFar.text;
  }

  /** The model's reasoning so far; empty if the assistant shows none. */
  get reasoning(): string {
    return this.soFar.reasoning;
  }

  /** The sources of the text so far, each address once. */
  get sources(): readonly SourcePart[] {
    return this.soFar.sources;
  }

  /** The latest known state of each tool call, in the order in which the calls came. */
  get toolCalls(): readonly ToolCall[] {
    return this.soFar.toolCalls;
  }

  /** The reply as it is kept; undefined until then. */
  get message(): Message | undefined {
    return this.soFar.message;
  }

  /** How many new things have come. */
  private get news(): number {
    return this.states + this.soFar.news;
  }

  /**
   * Reads to the end, unless that is done. @returns the reply as it is kept, which a cancel may have cut short
   * @throws TurnError when there is no reply, ApiError, ConnectionError
   */
  async reply(): Promise<Message> {
    if (this.job === undefined || !isFinal(this.job)) for await (const event of this) void event;
    // A turn that failed after it had called tools leaves a message, too.
    if (this.message !== undefined && this.job?.status !== 'failed') return this.message;
    if (this.job === undefined) throw new ConnectionError('The stream ended without an event.');
    throw new TurnError(this.job);
  }

  /**
   * The events until the job is final. A canceled turn ends without an error.
   * @throws TurnError at the end when the turn failed, ApiError, ConnectionError, or the signal's reason
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<JobEvent, void, undefined> {
    if (this.begun) throw new TypeError('The events of a job are read once; follow it again.');
    this.begun = true;
    const { signal } = this.options;
    let awaySince: number | undefined;
    for (let tries = 0; this.lastEventId !== END; tries++) {
      let delayMs: number | undefined;
      let [hasEvents, ended] = [false, false];
      const [began, known] = [Date.now(), this.news];
      try {
        for await (const event of this.connection()) {
          hasEvents = true;
          yield event;
          signal?.throwIfAborted();
        }
        ended = true;
        // The service begins with the job. So the stream was cut, or somebody else answers; trying again without end would not help.
        if (!hasEvents) throw new ConnectionError('The stream ended without an event.');
      } catch (error) {
        signal?.throwIfAborted();
        // A stream that breaks at once, each time, with nothing new, counts as an absent service.
        if (this.news > known || (hasEvents && Date.now() - began >= HELD_MS)) [awaySince, tries] = [undefined, 0];
        awaySince ??= Date.now();
        if (!ended) delayMs = retryDelay(tries, error);
        const tooLong = Date.now() + (delayMs ?? this.retryMs) - awaySince > this.http.options.reconnectForMs;
        if (!isPassing(error) || tooLong || this.stillMs > LONGEST_STILL_MS) throw error;
        this.http.willRetry(error, delayMs ?? this.retryMs);
      }
      if (ended && hasEvents) [awaySince, tries] = [undefined, 0];
      if (this.job?.status === 'failed') throw new TurnError(this.job);
      if (this.job !== undefined && isFinal(this.job)) return;
      if (this.lastEventId !== END) await pause(delayMs ?? this.retryMs, signal);
    }
  }

  /** The events of one connection. It ends with the job, with the service's goodbye, or when it breaks. */
  private async *connection(): AsyncGenerator<JobEvent, void, undefined> {
    const { signal } = this.options;
    const { controller: leave, letGo } = linked(signal);
    let silence: ReturnType<typeof setTimeout> | undefined;
    const listen = (): void => {
      silence = setTimeout(() => leave.abort(), LONGEST_SILENCE_MS);
    };
    const broke = (cause: unknown): never => {
      signal?.throwIfAborted();
      const how = leave.signal.aborted ? 'The stream has fallen silent.' : 'The stream broke off.';
      throw new ConnectionError(how, { cause });
    };
    try {
      listen();
      const response = await this.http.stream(this.request(), leave.signal).catch((error: unknown) => {
        if (leave.signal.aborted) broke(error);
        throw error;
      });
      const isStream = /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '');
      if (!isStream || response.body === null) throw this.http.foreign(response);
      // A page that may not read this header learns the id from the first event.
      this.jobId ??= response.headers.get('location')?.split('/').at(-1);
      const received: EventSourceMessage[] = [];
      let isEndless = false;
      const parser = createParser({
        onEvent: (message) => received.push(message),
        onError: ({ type }) => (isEndless ||= type === 'max-buffer-size-exceeded'),
        onRetry: (ms) => (this.retryMs = Math.min(Math.max(ms, SOONEST_MS), LONGEST_ASKED_MS)),
        maxBufferSize: LONGEST_TEXT,
      });
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      // Some `fetch` implementations do not end a read under way when they are aborted.
      leave.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined));
      for (let hasBegun = false, readAt = Date.now(); ;) {
        const { done, value } = await reader.read().catch(broke);
        if (leave.signal.aborted) broke(undefined);
        if (done) return;
        if (this.job?.status !== 'requires_action') this.stillMs += Math.min(Date.now() - readAt, LONGEST_SILENCE_MS);
        parser.feed(decoder.decode(value, { stream: true }));
        if (received.length > 0) {
          clearTimeout(silence);
          this.http.seen();
        }
        // One by one: if the caller leaves in between, `lastEventId` is that of the last event it got.
        for (const message of received.splice(0)) {
          hasBegun = true;
          const event = this.take(message);
          if (event !== undefined) yield event;
        }
        if (isEndless) throw new ConnectionError('An event came that has no end.');
        if (this.stillMs > LONGEST_STILL_MS) throw new ConnectionError('Nothing new has come for two hours.');
        readAt = Date.now();
        // The service begins with an event. Until that has come, beats are no sign that the stream works.
        if (!hasBegun) continue;
        clearTimeout(silence);
        listen();
      }
    } finally {
      clearTimeout(silence);
      letGo();
      leave.abort();
    }
  }

  private request(): HttpRequest {
    if (typeof this.source === 'object' && this.jobId === undefined) return this.source;
    return {
      method: 'GET',
      path: `/jobs/${segment(this.jobId ?? '')}/events`,
      headers: this.lastEventId === undefined ? {} : { 'last-event-id': this.lastEventId },
    };
  }

  /** Takes an event in. @returns what is new in it @throws ConnectionError when it does not fit what came before */
  private take({ event, id, data }: EventSourceMessage): JobEvent | undefined {
    const received = readEvent(event, id, data);
    const known = this.news;
    const news = received && this.read(received, id);
    if (this.news > known) this.stillMs = 0;
    // A piece that was known already must not move the position back.
    if (id !== undefined && !(event === 'delta' && news === undefined)) {
      if (event !== 'delta') this.soFar.setPosition(id);
      this.lastEventId = id;
    }
    return news;
  }

  private read(received: ReceivedEvent, id: string | undefined): JobEvent | undefined {
    switch (received.name) {
      case 'job': {
        const { data: job } = received;
        if (this.job?.status !== job.status || this.job.attempts !== job.attempts) this.states++;
        this.job = job;
        this.jobId = job.id;
        return { type: 'job', job };
      }
      case 'failure':
        return { type: 'failure', error: received.data };
      default:
        return this.soFar.take(received, id);
    }
  }
}
