import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai';
import { ApiError, ConnectionError } from '../errors.js';
import type { JobEvents } from '../job-events.js';
import { Rejoinder, type RejoinderOptions } from '../rejoinder.js';
import type { Chat } from '../types.js';
import { sendToolAnswers } from './answers.js';
import { chunksOf, RestartError } from './chunks.js';
import type { RejoinderMetadata } from './messages.js';
import { isAnswered, toolPartsOf } from './tool-calls.js';

/** Longest idempotency key the service takes, in characters. */
const LONGEST_KEY = 255;

export interface RejoinderChatTransportOptions {
  /** The client, or its options. */
  readonly client: Rejoinder | RejoinderOptions;
  /**
   * `stop()` cancels the turn (the default). If false, `stop()` only leaves the stream, and the turn goes on. The `useChat` of `ai` 7 also
   * stops when its component goes away, unless it was given its `chat`.
   */
  readonly cancelOnStop?: boolean;
}

/**
 * Lets `useChat` talk to Rejoinder. The `id` of `useChat` is that of a Rejoinder chat (`openChat`). The service has the history, so only
 * the last user message is sent, with its texts as one turn.
 *
 * * A message is one turn however often it is sent, because its id is part of the idempotency key. So an id must not come again with
 * another text; `useChat` makes ids that do not.
 * * A lost connection is made anew, and no text is lost or doubled. `ConnectionError` comes after the client's `reconnectForMs`;
 * `resumeStream()` goes on from there.
 * * A failed turn puts the chat in status `error`. So does a refusal of the service (`ApiError`), and a {@link RestartError}.
 * * When a tool call waits for the page, the stream ends with `finishReason` `tool-calls`. With `sendAutomaticallyWhen: hasToolAnswers`, the
 * answers (`addToolApprovalResponse`, `addToolOutput`) go to the service, and the same message goes on. For an answer from elsewhere, call
 * `resumeStream()`.
 * * A request's own `headers`, `body` and `metadata` are ignored: Rejoinder has no place for them.
 */
export class RejoinderChatTransport implements ChatTransport<UIMessage> {
  /** `ai` reads this: a resumed stream begins with the beginning of the reply. */
  readonly resumeStreamIsReplay = true;

  private readonly client: Rejoinder;
  private readonly cancelOnStop: boolean;
  /** The job to show at the next `reconnectToStream`, even if it has ended by then; by chat. */
  private readonly owed = new Map<string, string>();
  /** A cancel under way, by chat. */
  private readonly canceling = new Map<string, Promise<void>>();
  /** The latest request for a stream, by chat. */
  private readonly reconnecting = new Map<string, object>();

  constructor({ client, cancelOnStop = true }: RejoinderChatTransportOptions) {
    this.client = client instanceof Rejoinder ? client : new Rejoinder(client);
    this.cancelOnStop = cancelOnStop;
  }

  /**
   * Sends the last message as a turn. For `regenerate()`, it asks for a reply to that message again. For a reply of which the page has
   * answered tool calls, it sends the answers and goes on with that reply. `useChat` calls it.
   * @throws TypeError when the last message is not a user's, has other parts than text, or is to replace another; ApiError
   * `invalid_transition` when the message has its reply already, because a reply is not written again
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
    const message = messageId === undefined ? messages.at(-1) : messages.find(({ id }) => id === messageId);
    if (message?.role === 'assistant') return this.goOn(chatId, message, abortSignal);
    if (messageId !== undefined) {
      throw new TypeError('Rejoinder keeps messages: one that was sent cannot be changed or sent again.');
    }
    if (message?.role !== 'user') throw new TypeError('There is no user message to send.');
    const turn = textOf(message);
    const idempotencyKey = keyOf(chatId, message.id);
    await this.settled(chatId, abortSignal);
    this.owed.delete(chatId);
    return this.show(chatId, abortSignal, (signal) => this.client.streamTurn(chatId, turn, { idempotencyKey, signal }));
  }

  /** Sends the page's answers to tool calls of a reply, and goes on with the reply from where the page has it. */
  private async goOn(
    chatId: string,
    message: UIMessage,
    abortSignal: AbortSignal | undefined,
  ): Promise<ReadableStream<UIMessageChunk>> {
    if (!toolPartsOf(message).some(isAnswered)) throw new TypeError('There is no user message to send.');
    await this.settled(chatId, abortSignal);
    const { job_id: jobId = message.id } = (message.metadata ?? {}) as RejoinderMetadata;
    await sendToolAnswers(this.client, jobId, message, abortSignal);
    return this.show(chatId, abortSignal, (signal) => this.client.followJob(jobId, { signal }), { message });
  }

  /** The reply in flight, from its beginning; null when there is none. `useChat` calls it. @throws ApiError, ConnectionError */
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
    return this.show(chatId, abortSignal, (signal) => this.client.followJob(jobId, { signal }), { isLatest });
  }

  /**
   * Tells the transport which chat the page has loaded. If a reply was in flight then, the next resume shows it, even if it has ended by
   * then: it is neither among the page's messages nor in the chat's present state.
   */
  expectReply({ id, unfinished_job_id }: Pick<Chat, 'id' | 'unfinished_job_id'>): void {
    if (unfinished_job_id !== null) this.owed.set(id, unfinished_job_id);
  }

  /**
   * Cancels the turn in flight, if there is one. Unlike after `stop()`, the chat then shows what is kept of the reply. @throws ApiError,
   * ConnectionError
   */
  async cancel(chatId: string): Promise<void> {
    const jobId = await this.unfinishedJob(chatId);
    if (jobId !== null) await this.client.cancelJob(jobId).catch(unlessEnded);
  }

  private async unfinishedJob(chatId: string, signal?: AbortSignal): Promise<string | null> {
    // An older service does not have this field.
    const { unfinished_job_id = null } = (await this.client.getChat(chatId, { signal })) as Partial<Chat>;
    return unfinished_job_id;
  }

  /** Resolves once no cancel is under way. Until then the stopped turn would block the next one, and a resume would show it. */
  private async settled(chatId: string, signal: AbortSignal | undefined): Promise<void> {
    const canceling = this.canceling.get(chatId);
    const aborted = new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
    if (canceling !== undefined) await Promise.race([canceling, aborted]);
    signal?.throwIfAborted();
  }

  /**
   * The events of a job as the chunks `useChat` reads.
   * @param stop aborted by `stop()`. Leaving the stream without it does not cancel the turn
   * @param isLatest nobody has asked for this stream since
   * @param message what the page has of the reply, if it goes on with it
   */
  private show(
    chatId: string,
    stop: AbortSignal | undefined,
    follow: (signal: AbortSignal) => JobEvents,
    { isLatest = () => true, message }: { isLatest?: () => boolean; message?: UIMessage } = {},
  ): ReadableStream<UIMessageChunk> {
    const reading = new AbortController();
    const events = follow(reading.signal);
    const chunks = chunksOf(events, message);
    let next: ReturnType<typeof chunks.next> | undefined;
    let over = false;
    const leave = (): void => {
      over = true;
      reading.abort();
      chunks.return().catch(() => undefined);
    };
    const cancel = async (): Promise<void> => {
      // The same page may have asked for the stream again. Then `useChat` gives up the older request, and nobody has stopped anything.
      await Promise.resolve();
      if (!this.cancelOnStop || !isLatest()) return leave();
      this.owed.delete(chatId);
      // A turn that is still on its way to the service has no job id to cancel. So wait until it is accepted.
      if (events.jobId === undefined) await next?.catch(() => undefined);
      leave();
      // `useChat` has closed the stream, so nobody can learn of a cancel that failed.
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
          // The turn may go on, and end, without this page.
          const waits = value.type === 'finish' && value.finishReason === 'tool-calls';
          if (waits && events.jobId !== undefined) this.owed.set(chatId, events.jobId);
          controller.enqueue(value);
        } catch (error) {
          if (over) return;
          over = true;
          const reported = reportable(error);
          const broken = reported instanceof RestartError || reported instanceof ConnectionError;
          if (broken && events.jobId !== undefined) this.owed.set(chatId, events.jobId);
          throw reported;
        }
      },
      cancel: leave,
    });
  }
}

/** @throws TypeError when a part is not text */
function textOf({ parts }: UIMessage): string {
  const texts = parts.map((part) => {
    if (part.type !== 'text') throw new TypeError(`Rejoinder takes text only, not a part of type "${part.type}".`);
    return part.text;
  });
  return texts.join('\n');
}

/** The idempotency key of a message in its chat, in characters that a header may have, whatever is in the id. */
function keyOf(chatId: string, messageId: string): string {
  const key = encodeURIComponent(`${chatId} ${messageId}`);
  if (key.length > LONGEST_KEY) throw new TypeError('The id of the message is too long to be part of a key.');
  return key;
}

/** The turn has just ended otherwise, so there is nothing to cancel. */
function unlessEnded(error: unknown): void {
  if (!(error instanceof ApiError && error.code === 'invalid_transition')) throw error;
}

/**
 * Wraps a TypeError, which a caller's `token` function may throw. `ai` takes one for a network fault, continues the stream, and would add the whole
 * replayed reply to the text it has.
 */
function reportable(error: unknown): unknown {
  return error instanceof TypeError ? new ConnectionError(error.message, { cause: error }) : error;
}
