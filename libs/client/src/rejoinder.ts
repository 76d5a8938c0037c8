import { exportLines } from './export.js';
import { Http, type HttpRequest, type OnRetry, segment, type Token } from './http.js';
import { type FollowOptions, JobEvents } from './job-events.js';
import type { Answer } from './kept-answers.js';
import {
  type Assistant,
  type Chat,
  type ChatPage,
  type ChatStatus,
  type CreateMessageRequest,
  type ExportLine,
  type FinalJob,
  isFinal,
  isWaiting,
  type Job,
  type Message,
  type MessagePage,
  type OpenChatRequest,
  type OpenedChat,
  type Receipt,
  type ToolCall,
  type Turn,
  type TurnRequest,
  type UpdateChatRequest,
  type WaitingJob,
} from './types.js';
import { LONGEST_ASKED_MS, pause, retryAfterOf } from './waiting.js';

export interface RejoinderOptions {
  readonly token: Token;
  /** The service's address, without `/api/v1`. In a browser the default is the page's origin. */
  readonly baseUrl?: string;
  /** How long a request is repeated that gets no answer, `429` or `503`, in milliseconds (default 15,000). */
  readonly retryForMs?: number;
  /**
   * How long a turn that is waited for or followed is asked for again while the service does not answer, in milliseconds (default 120,000).
   */
  readonly reconnectForMs?: number;
  /** How long one answer may take, in milliseconds (default 30,000). */
  readonly timeoutMs?: number;
  /** Replaces the platform's `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
  /**
   * Called when a request or a stream has failed and is about to be tried again, with the error and the pause in milliseconds. An error
   * that it throws ends the request. Without it, the first such failure of a service that has never answered is a warning on the console.
   */
  readonly onRetry?: OnRetry;
}

export interface CallOptions {
  /** Gives up the request, with the signal's reason. The request may take effect all the same. */
  readonly signal?: AbortSignal;
}

export interface UpdateOptions extends CallOptions {
  /** The chat as `getChat` or `updateChat` gave it: the change is made only if the chat is still the same. */
  readonly ifUnchanged?: Chat;
}

export interface PostOptions extends CallOptions {
  /** Your key for this request; the client makes one by default. A request that is sent again with its key takes effect once. */
  readonly idempotencyKey?: string;
}

export interface DecideOptions extends CallOptions {
  /** With `deny` only: why. The model gets these words, at most 1,000 characters. */
  readonly reason?: string;
}

export interface GiveResultOptions extends CallOptions {
  /** The tool failed, and the content says why. */
  readonly isError?: boolean;
}

export interface ListMessagesOptions extends CallOptions {
  readonly limit?: number;
  readonly before?: string | null;
  readonly after?: string | null;
}

export interface ListChatsOptions extends ListMessagesOptions {
  readonly assistant?: string;
  readonly status?: ChatStatus;
}

/** The longest wait that the service allows for one request, in seconds. */
const LONGEST_WAIT_SECONDS = 55;

/** How long the service may wait until a deletion is done, in seconds. */
const DELETING_SECONDS = 20;

/** The pause between polls, in milliseconds, unless the service names one. */
const POLL_MS = 1_000;

/**
 * Rejoinder's contract: a method for each operation. `openapi.yaml` describes arguments and answers. All methods throw `ApiError` when the
 * service refuses, `ConnectionError` when it does not answer, and their signal's reason. An unchanged `GET` is answered from memory; each
 * `POST` has an idempotency key.
 */
export class Rejoinder {
  private readonly http: Http;

  constructor(options: RejoinderOptions) {
    const baseUrl = options.baseUrl ?? (globalThis as { location?: Location }).location?.origin;
    const url = baseUrl !== undefined && URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
    if (
      url === undefined ||
      !/^https?:$/.test(url.protocol) ||
      url.username ||
      url.password ||
      url.search ||
      url.hash
    ) {
      throw new TypeError('baseUrl must say where the service is, and no more, as in "https://chat.example.com".');
    }
    this.http = new Http({
      baseUrl: url.origin + withoutSlashes(url.pathname),
      token: options.token,
      retryForMs: options.retryForMs ?? 15_000,
      reconnectForMs: options.reconnectForMs ?? 120_000,
      timeoutMs: options.timeoutMs ?? 30_000,
      // Browsers want `fetch` called as a method of `globalThis`.
      fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
      onRetry: options.onRetry,
    });
  }

  async listAssistants({ signal }: CallOptions = {}): Promise<Assistant[]> {
    return (await this.get<{ data: Assistant[] }>('/assistants', { signal })).data;
  }

  getAssistant(slug: string, { signal }: CallOptions = {}): Promise<Assistant> {
    return this.get(`/assistants/${segment(slug)}`, { signal });
  }

  /** Your active chat with the assistant, and its latest messages. Creates the chat if there is none. */
  openChat(assistant: string, chat: OpenChatRequest = {}, options: PostOptions = {}): Promise<OpenedChat> {
    return this.post(`/assistants/${segment(assistant)}/chats`, chat, options);
  }

  /** A page of your chats, newest activity first. A page's `before` leads to less recent ones. */
  listChats({ signal, limit, before, after, assistant, status }: ListChatsOptions = {}): Promise<ChatPage> {
    const query = { assistant, status, limit, before: before ?? undefined, after: after ?? undefined };
    return this.get('/chats', { query, signal });
  }

  getChat(chatId: string, { signal }: CallOptions = {}): Promise<Chat> {
    return this.get(`/chats/${segment(chatId)}`, { signal });
  }

  /**
   * Changes status, title or metadata.
   * @throws ApiError `precondition_failed` when the chat is not the one of `ifUnchanged` any more; `invalid_transition`
   */
  async updateChat(
    chatId: string,
    change: UpdateChatRequest,
    { signal, ifUnchanged }: UpdateOptions = {},
  ): Promise<Chat> {
    const path = `/chats/${segment(chatId)}`;
    const headers = this.ifMatch(ifUnchanged);
    return this.patch(path, change, { signal, ...(headers && { headers }) });
  }

  /**
   * Deletes a chat and all that is in it, for good. Cancels a turn in flight.
   * @throws ApiError `not_found`; `precondition_failed` when the chat is not the one of `ifUnchanged` any more
   */
  async deleteChat(chatId: string, { signal, ifUnchanged }: UpdateOptions = {}): Promise<void> {
    const headers = this.ifMatch(ifUnchanged);
    const path = `/chats/${segment(chatId)}`;
    await this.http.json<undefined>({ method: 'DELETE', path, repeatable: true, signal, ...(headers && { headers }) });
  }

  /** Deletes everything of the user, and waits until that is done. The receipt counts what was deleted, and names nobody. */
  async deleteMe({ signal }: CallOptions = {}): Promise<Receipt> {
    const request = { method: 'DELETE', path: '/me', waitSeconds: DELETING_SECONDS, repeatable: true, signal } as const;
    let { body: receipt } = await this.http.json<Receipt>(request);
    while (receipt.deleted_at === null) {
      await pause(POLL_MS, signal);
      receipt = await this.get<Receipt>(`/receipts/${segment(receipt.id)}`, { signal });
    }
    return receipt;
  }

  /**
   * Everything of the user, line by line, for `for await`. Each chat is followed by its messages and its jobs. An export that broke off
   * cannot be continued: ask for a new one.
   * @throws ConnectionError when it breaks off, ApiError
   */
  exportMe({ signal }: CallOptions = {}): AsyncGenerator<ExportLine, void, undefined> {
    return exportLines(this.http, signal);
  }

  /** A page of messages in chronological order; the newest page unless there is a cursor. */
  listMessages(chatId: string, { signal, limit, before, after }: ListMessagesOptions = {}): Promise<MessagePage> {
    const query = { limit, before: before ?? undefined, after: after ?? undefined };
    return this.get(`/chats/${segment(chatId)}/messages`, { query, signal });
  }

  /** The whole history, page by page, from the newest to the oldest. Messages of a page are in chronological order. */
  async *pages(chatId: string, options: CallOptions & { readonly limit?: number } = {}): AsyncGenerator<MessagePage> {
    let page = await this.listMessages(chatId, options);
    yield page;
    while (page.before !== null) {
      page = await this.listMessages(chatId, { ...options, before: page.before });
      yield page;
    }
  }

  /** Stores a message without asking for a reply. */
  createMessage(chatId: string, message: CreateMessageRequest, options: PostOptions = {}): Promise<Message> {
    return this.post(`/chats/${segment(chatId)}/messages`, message, options);
  }

  /** Asks for a reply to the messages stored so far. */
  requestReply(chatId: string, options: PostOptions = {}): Promise<Job> {
    return this.post('/jobs/assistant-reply', { chat_id: chatId }, options);
  }

  /**
   * Sends a turn and waits for its reply, however long it takes, and even if the connection is lost.
   * @returns the turn (its `type` is `turn`), or the job as soon as it waits for a person. After the decision, `waitForJob` goes on
   * @throws ApiError `assistant_failed` or `turn_canceled`, with the `jobId`, when the turn ends without a reply
   */
  async sendTurn(chatId: string, turn: string | TurnRequest, options: PostOptions = {}): Promise<Turn | WaitingJob> {
    // Sent again with the same key, the request waits for the same turn.
    const request: HttpRequest = {
      ...turnRequest(chatId, turn, options),
      waitSeconds: LONGEST_WAIT_SECONDS,
      patienceMs: this.http.options.reconnectForMs,
    };
    for (;;) {
      const { status, body } = await this.http.json<Turn | Job>(request);
      if (status === 200) return body as Turn;
      if (isWaiting(body as Job)) return body as WaitingJob;
      // The time was up, or the API process stops.
      await pause(POLL_MS, options.signal);
    }
  }

  /** Sends a turn and returns its job at once, to be polled or followed. */
  async startTurn(chatId: string, turn: string | TurnRequest, options: PostOptions = {}): Promise<Job> {
    const request = turnRequest(chatId, turn, options);
    const headers = { ...request.headers, prefer: 'respond-async' };
    return (await this.http.json<Job>({ ...request, headers })).body;
  }

  /** Sends a turn as soon as its events are asked for, and follows it. Leaving never cancels the turn; `cancelJob` does. */
  streamTurn(chatId: string, turn: string | TurnRequest, options: PostOptions = {}): JobEvents {
    return new JobEvents(this.http, turnRequest(chatId, turn, options), { signal: options.signal });
  }

  getJob(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.get(`/jobs/${segment(jobId)}`, { signal });
  }

  /** Follows a job live until it is final, whatever its state is now. Lost connections are made anew. */
  followJob(jobId: string, options: FollowOptions = {}): JobEvents {
    return new JobEvents(this.http, jobId, options);
  }

  /**
   * Polls the job until it is final, also while it waits for a person, and yields it each time it has changed. For places that streams do
   * not reach.
   */
  async *pollJob(jobId: string, { signal }: CallOptions = {}): AsyncGenerator<Job, void, undefined> {
    const path = `/jobs/${segment(jobId)}`;
    for (let known: Job | undefined, etag: string | undefined; ;) {
      const { body: job, headers } = await this.whileItGoesOn<Job>({ method: 'GET', path, signal });
      // An unchanged job is the same object. If that is not kept any more, the answer has the same `ETag`.
      if (job !== known && (etag === undefined || this.http.etagOf(job) !== etag)) yield job;
      if (isFinal(job)) return;
      known = job;
      etag = this.http.etagOf(job);
      await pause(Math.min(retryAfterOf(headers) || POLL_MS, LONGEST_ASKED_MS), signal);
    }
  }

  /**
   * The job once it is final or waits for a person: then it goes on only after a decision, so wait again after that. The service holds each
   * request until then, or until its wait is over.
   */
  async waitForJob(jobId: string, { signal }: CallOptions = {}): Promise<FinalJob | WaitingJob> {
    const path = `/jobs/${segment(jobId)}`;
    const waitSeconds = LONGEST_WAIT_SECONDS;
    for (;;) {
      const { body: job } = await this.whileItGoesOn<Job>({ method: 'GET', path, waitSeconds, signal });
      if (isFinal(job)) return job as FinalJob;
      if (isWaiting(job)) return job;
      await pause(POLL_MS, signal);
    }
  }

  /**
   * Cancels the turn and keeps the text so far. Canceling twice is fine. @throws ApiError `invalid_transition` when the turn has ended
   * otherwise
   */
  cancelJob(jobId: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.patch(`/jobs/${segment(jobId)}`, { status: 'canceled' }, { signal });
  }

  /** All tool calls of a job, in the order in which the model asked for them. */
  async toolCalls(jobId: string, { signal }: CallOptions = {}): Promise<ToolCall[]> {
    return (await this.get<{ data: ToolCall[] }>(`/jobs/${segment(jobId)}/tool-calls`, { signal })).data;
  }

  /**
   * Approves or denies a tool call that is `awaiting_approval`. The same decision twice is fine.
   * @returns the call as it is then
   * @throws ApiError `tool_call_decided` when another decision came first, the call waits for none, or the turn has ended
   */
  decide(
    jobId: string,
    callId: string,
    decision: 'approve' | 'deny',
    { reason, signal }: DecideOptions = {},
  ): Promise<ToolCall> {
    return this.patch(callPath(jobId, callId), { decision, ...(reason && { reason }) }, { signal });
  }

  /**
   * Gives the result of a tool call that is `awaiting_result`: a text, or anything that JSON can hold. The same result twice is fine.
   * @returns the call as it is then
   * @throws ApiError `validation_failed` when the result does not match the call's `result_schema`, `tool_call_decided` when another result
   * came first, the call waits for none, or the turn has ended
   */
  giveResult(
    jobId: string,
    callId: string,
    content: unknown,
    { isError = false, signal }: GiveResultOptions = {},
  ): Promise<ToolCall> {
    // JSON has no `undefined`.
    const result = { content: content ?? null, ...(isError && { is_error: true }) };
    return this.patch(callPath(jobId, callId), { result }, { signal });
  }

  private ifMatch(seen: Chat | undefined): { 'if-match': string } | undefined {
    if (seen === undefined) return undefined;
    const etag = this.http.etagOf(seen);
    if (etag === undefined) throw new TypeError('ifUnchanged must be a chat that getChat or updateChat gave.');
    return { 'if-match': etag };
  }

  private async get<T>(path: string, request: Pick<HttpRequest, 'query' | 'signal'>): Promise<T> {
    return (await this.http.json<T>({ method: 'GET', path, ...request })).body;
  }

  private async post<T>(path: string, body: object, options: PostOptions): Promise<T> {
    return (await this.http.json<T>(keyed(path, body, options))).body;
  }

  /** A `PATCH` sets values, so it may be sent twice; but not with `If-Match`, which fails once the first has changed the chat. */
  private async patch<T>(path: string, body: object, request: Pick<HttpRequest, 'headers' | 'signal'>): Promise<T> {
    const repeatable = request.headers === undefined;
    return (await this.http.json<T>({ method: 'PATCH', path, body, repeatable, ...request })).body;
  }

  private whileItGoesOn<T>(request: HttpRequest): Promise<Answer<T>> {
    return this.http.json<T>({ ...request, patienceMs: this.http.options.reconnectForMs });
  }
}

function turnRequest(chatId: string, turn: string | TurnRequest, options: PostOptions): HttpRequest {
  const body = typeof turn === 'string' ? { user_message: turn } : turn;
  return keyed(`/chats/${segment(chatId)}/turns`, body, options);
}

function callPath(jobId: string, callId: string): string {
  return `/jobs/${segment(jobId)}/tool-calls/${segment(callId)}`;
}

/** Not a regular expression: that would begin anew at each slash of a run in mid-path. */
function withoutSlashes(path: string): string {
  let end = path.length;
  while (path[end - 1] === '/') end--;
  return path.slice(0, end);
}

/** A `POST` that can be sent again, because its key is made once. */
function keyed(path: string, body: object, { idempotencyKey = newKey(), signal }: PostOptions): HttpRequest {
  return { method: 'POST', path, body, headers: { 'idempotency-key': idempotencyKey }, repeatable: true, signal };
}

/** 128 random bits. (`randomUUID` is missing in pages without TLS.) */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
