import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai';
import { ApiError, ConnectionError } from '../errors.js';
import type { JobEvents } from '../job-events.js';
import { Rejoinder, type RejoinderOptions } from '../rejoinder.js';
import type { Chat } from '../types.js';
import { chunksOf, RestartError } from './chunks.js';

/** Longest idempotency key the service takes, in characters. */
const LONGEST_KEY = 255;

export interface RejoinderChatTransportOptions {
  /** The client, or what to make one of. */
  readonly client: Rejoinder | RejoinderOptions;
  /**
   * Whether `stop()` cancels the turn, so that no more is written; true unless told. If not, it leaves the stream, and the
   * turn goes on. The `useChat` of `ai` 7 stops when its component goes away, too, unless it was given its `chat`.
   */
  readonly cancelOnStop?: boolean;
}

/**
 * Lets `useChat` talk to Rejoinder. The `id` given to `useChat` is that of a Rejoinder chat (`openChat`), whose history is on
 * the service: of what `useChat` would send, the last user message is sent, its texts as one turn.
 *
 * * A message is one turn however often it is sent, for its id is part of the idempotency key. So ids must not come again with
 *   another text, which those that `useChat` makes up do not.
 * * A connection that is lost is made anew; none of the text is lost or doubled. `ConnectionError` comes after the client's
 *   `reconnectForMs`; `resumeStream()` goes on from there.
 * * A failed turn puts the chat in status `error`. So does what the service refuses (`ApiError`), and a {@link RestartError}.
 * * A request's own `headers`, `body` and `metadata` are not used: Rejoinder has no place for them.
 */
export class RejoinderChatTransport implements ChatTransport<UIMessage> {
  /** A stream that is resumed comes from the beginning. Said to `ai`, which then takes it for the whole. */
  readonly resumeStreamIsReplay = true;

  private readonly client: Rejoinder;
  private readonly cancelOnStop: boolean;
  /** By chat: the job to show when it is asked for next, though it may have ended by then. */
  private readonly owed = new Map<string, string>();
  /** By chat: a cancel on its way. */
  private readonly canceling = new Map<string, Promise<void>>();
  /** By chat: the latest request for its stream. */
  private readonly reconnecting = new Map<string, object>();

  constructor({ client, cancelOnStop = true }: RejoinderChatTransportOptions) {
    this.client = client instanceof Rejoinder ? client : new Rejoinder(client);
    this.cancelOnStop = cancelOnStop;
  }

  /**
   * Sends the last message as a turn; by `regenerate()`, asks for a reply to it once more. Called by `useChat`.
   * @throws TypeError when that is not a user's message of texts alone, or is to take another's place; ApiError
   * `invalid_transition` when it has its reply, which is not written again
   */
  async sendMessages({
    trigger,
    chatId,
    messageId,
    messages,
    abortSignal,
  }: Parameters<ChatTransport<UIMessage>['sendMessages']>[0]): Promise<ReadableStream<UIMessageChunk>> {
    if (trigger === 'regenerate-message') {
      await this.settled(chatId, abortSignal);
      const job = await this.client.requestReply(chatId, { signal: abortSignal });
      return this.show(chatId, abortSignal, (signal) => this.client.followJob(job.id, { signal }));
    }
    if (messageId !== undefined) {
      throw new TypeError('Rejoinder keeps what was said: a message that was sent cannot be changed or sent again.');
    }
    const message = messages.at(-1);
    if (message?.role !== 'user') throw new TypeError('There is no message of the user to be sent.');
    const turn = textOf(message);
    const idempotencyKey = keyOf(chatId, message.id);
    await this.settled(chatId, abortSignal);
    this.owed.delete(chatId);
    return this.show(chatId, abortSignal, (signal) => this.client.streamTurn(chatId, turn, { idempotencyKey, signal }));
  }

  /**
   * The reply in flight, from its beginning; null when there is none. Called by `useChat`.
   * @throws ApiError, ConnectionError
   */
  async reconnectToStream({
    chatId,
    abortSignal,
  }: Parameters<ChatTransport<UIMessage>['reconnectToStream']>[0]): Promise<ReadableStream<UIMessageChunk> | null> {
    const request = {};
    this.reconnecting.set(chatId, request);
    await this.settled(chatId, abortSignal);
    const jobId = this.owed.get(chatId) ?? (await this.unfinishedJob(chatId, abortSignal));
    if (jobId === null) return null;
    abortSignal?.throwIfAborted();
    const isLatest = (): boolean => this.reconnecting.get(chatId) === request;
    return this.show(chatId, abortSignal, (signal) => this.client.followJob(jobId, { signal }), isLatest);
  }

  /**
   * Says with what chat the page has begun. If a reply was in flight then, it is shown when the stream is resumed, though it
   * may have ended by then: neither the page's messages nor the chat's state of now would have it.
   */
  expectReply({ id, unfinished_job_id }: Pick<Chat, 'id' | 'unfinished_job_id'>): void {
    if (unfinished_job_id !== null) this.owed.set(id, unfinished_job_id);
  }

  /**
   * Cancels the turn in flight, if there is one. Unlike `stop()` the chat goes on to show what is kept of the reply.
   * @throws ApiError, ConnectionError
   */
  async cancel(chatId: string): Promise<void> {
    const jobId = await this.unfinishedJob(chatId);
    if (jobId !== null) await this.client.cancelJob(jobId).catch(unlessEnded);
  }

  private async unfinishedJob(chatId: string, signal?: AbortSignal): Promise<string | null> {
    // A service that is older than the field has no more to say.
    const { unfinished_job_id = null } = (await this.client.getChat(chatId, { signal })) as Partial<Chat>;
    return unfinished_job_id;
  }

  /** Resolves once no cancel is on its way: until then the turn that was stopped is in the way of the next, and would be resumed. */
  private async settled(chatId: string, signal: AbortSignal | undefined): Promise<void> {
    const canceling = this.canceling.get(chatId);
    const aborted = new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
    if (canceling !== undefined) await Promise.race([canceling, aborted]);
    signal?.throwIfAborted();
  }

  /**
   * The events of a job as the chunks `useChat` reads.
   * @param stop what `stop()` says. A stream that is merely no longer read leaves the turn alone
   * @param isLatest whether nobody else has asked for this stream since
   */
  private show(
    chatId: string,
    stop: AbortSignal | undefined,
    follow: (signal: AbortSignal) => JobEvents,
    isLatest = (): boolean => true,
  ): ReadableStream<UIMessageChunk> {
    const reading = new AbortController();
    const events = follow(reading.signal);
    const chunks = chunksOf(events);
    let next: ReturnType<typeof chunks.next> | undefined;
    let over = false;
    const leave = (): void => {
      over = true;
      reading.abort();
      chunks.return().catch(() => undefined);
    };
    const cancel = async (): Promise<void> => {
      // Asked for again by the same page: `useChat` gives the older request up, and nobody has stopped anything.
      await Promise.resolve();
      if (!this.cancelOnStop || !isLatest()) return leave();
      this.owed.delete(chatId);
      // The turn may be on its way to the service: it is let through, for only then it has a name to be canceled by.
      if (events.jobId === undefined) await next?.catch(() => undefined);
      leave();
      // There is nobody left to be told that it could not be canceled.
      if (events.jobId !== undefined) await this.client.cancelJob(events.jobId).catch(() => undefined);
    };
    return new ReadableStream<UIMessageChunk>({
      start: (controller) => {
        const stopped = (): void => {
          if (over) return;
          over = true;
          controller.close();
          const canceling = cancel().finally(() => {
            if (this.canceling.get(chatId) === canceling) this.canceling.delete(chatId);
          });
          this.canceling.set(chatId, canceling);
        };
        stop?.addEventListener('abort', stopped, { once: true });
      },
      pull: async (controller) => {
        try {
          next = chunks.next();
          const { done, value } = await next;
          if (over) return;
          if (done === true) {
            over = true;
            controller.close();
            return;
          }
          if (value.type === 'finish' || value.type === 'error') this.owed.delete(chatId);
          controller.enqueue(value);
        } catch (error) {
          if (over) return;
          over = true;
          const told = tellable(error);
          const broken = told instanceof RestartError || told instanceof ConnectionError;
          if (broken && events.jobId !== undefined) this.owed.set(chatId, events.jobId);
          throw told;
        }
      },
      cancel: leave,
    });
  }
}

/** @throws TypeError when there is anything but text in it */
function textOf({ parts }: UIMessage): string {
  const texts = parts.map((part) => {
    if (part.type !== 'text') throw new TypeError(`Rejoinder takes text only, not a part of type "${part.type}".`);
    return part.text;
  });
  return texts.join('\n');
}

/** The key of a message in its chat: in characters that a header may have, whatever the id is of. */
function keyOf(chatId: string, messageId: string): string {
  const key = encodeURIComponent(`${chatId} ${messageId}`);
  if (key.length > LONGEST_KEY) throw new TypeError('The id of the message is too long to be part of a key.');
  return key;
}

/** It has ended otherwise in this moment: so there is nothing to cancel. */
function unlessEnded(error: unknown): void {
  if (!(error instanceof ApiError && error.code === 'invalid_transition')) throw error;
}

/**
 * `ai` takes a TypeError about the network for a stream to be taken up where it broke, and would add the whole that it is
 * given then to the text it has. What asks for the token may throw one.
 */
function tellable(error: unknown): unknown {
  return error instanceof TypeError ? new ConnectionError(error.message, { cause: error }) : error;
}
