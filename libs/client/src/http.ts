import { ApiError, ConnectionError, RejoinderError } from './errors.js';
import { ForeignAnswer } from './foreign-answer.js';
import { type Answer, KeptAnswers } from './kept-answers.js';
import type { ErrorBody } from './types.js';
import { unreachable } from './unreachable.js';
import { linked, orAborted, pause, retryAfterOf, retryDelay, timer } from './waiting.js';

/**
 * A bearer token, or a function that gives one. The function is called before each request, so it can renew the token. An error that it
 * throws ends the request, except a TypeError: `fetch` throws one where there is no network, so the request is tried again.
 */
export type Token = string | (() => string | Promise<string>);

export interface HttpOptions {
  /** Where the service is, with or without a path; without the contract's `/api/v1`. */
  readonly baseUrl: string;
  readonly token: Token;
  /** How long a request is repeated that gets no answer, `429` or `503`, in milliseconds. */
  readonly retryForMs: number;
  /** The same for a reply that the caller waits for or follows. It is longer, because the turn goes on meanwhile. */
  readonly reconnectForMs: number;
  /** How long one answer may take, in milliseconds, in addition to the wait that the request asks for. */
  readonly timeoutMs: number;
  readonly fetch: typeof globalThis.fetch;
  /** Called before each further try. */
  readonly onRetry: OnRetry | undefined;
}

/** Learns why a request is about to be tried again, and in how many milliseconds. An error that it throws ends the request. */
export type OnRetry = (error: RejoinderError, inMs: number) => void;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** The path below `/api/v1`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** How long the service may wait before it answers, in seconds (`Prefer: wait`). */
  readonly waitSeconds?: number;
  /** The request may be sent twice. A `GET` may always be. */
  readonly repeatable?: boolean;
  /** How long the request is repeated, in milliseconds (default: `retryForMs`). */
  readonly patienceMs?: number;
}

/** The longest event of a stream, or line of an export, in UTF-16 code units. The longest reply, escaped as JSON, is shorter. */
export const LONGEST_TEXT = 64 * 1024 * 1024;

/** Statuses with which the service says "not now". A proxy's own are a {@link ForeignAnswer}. */
const NOT_NOW = new Set([429, 503]);

/** In seconds. After a wait was cut short, the next ones are this long, because something on the way may allow no longer ones. */
const SHORT_WAIT_SECONDS = 10;

/** Requests to one service: the token, time limits, further tries, and answers that are kept. */
export class Http {
  private readonly kept = new KeptAnswers();
  /** The service has answered, so its address is right. */
  private known = false;
  private warned = false;

  constructor(readonly options: HttpOptions) {}

  /**
   * One request, and its answer as JSON. A `GET` whose answer is kept and unchanged costs a `304`, and gives the same object again. The
   * object is frozen, because others may hold it.
   * @throws ApiError, ConnectionError, or the signal's reason
   */
  async json<T>(request: HttpRequest): Promise<Answer<T>> {
    const url = this.url(request);
    const known = request.method === 'GET' ? this.kept.get(url) : undefined;
    return this.again(request, async (tries) => {
      const wait = waitOf(request, tries);
      const headers = {
        accept: 'application/json',
        ...(known && { 'if-none-match': known.etag }),
        ...(wait > 0 && { prefer: `wait=${wait}` }),
        ...request.headers,
      };
      const { controller, letGo } = linked(request.signal);
      const limit = timer(() => controller.abort(), this.options.timeoutMs + wait * 1_000);
      try {
        return await orAborted(controller.signal, async () => {
          const response = await this.send(url, { ...request, headers }, controller.signal);
          if (response.status === 304 && known !== undefined) {
            this.seen();
            this.kept.put(url, known);
            return known.answer as Answer<T>;
          }
          const { status, headers: answered } = response;
          if (status === 204) return { status, headers: answered, body: undefined as T };
          const { body, characters } = await this.readJson(response);
          this.seen();
          const answer = { status, headers: answered, body };
          if (request.method === 'GET') this.kept.keep(url, answer, characters);
          else this.kept.tag(answer);
          return answer as Answer<T>;
        });
      } catch (error) {
        request.signal?.throwIfAborted();
        // An earlier try deleted it, and its answer was lost.
        if (tries > 0 && request.method === 'DELETE' && error instanceof ApiError && error.status === 404) {
          return { status: 204, headers: new Headers(), body: undefined as T };
        }
        if (!controller.signal.aborted) throw error;
        throw new ConnectionError('The service did not answer in time.', { cause: error });
      } finally {
        clearTimeout(limit);
        letGo();
      }
    });
  }

  /** One request, sent once, whose answer is read as it comes. It ends when `signal` aborts. @throws ApiError, ConnectionError */
  stream(request: Omit<HttpRequest, 'signal'>, signal: AbortSignal): Promise<Response> {
    const headers = { accept: 'text/event-stream', ...request.headers };
    return orAborted(signal, () => this.send(this.url(request), { ...request, headers }, signal));
  }

  /** Notes that the service itself has answered. */
  seen(): void {
    this.known = true;
  }

  /** The error for an answer that is not the service's. */
  foreign(response: Response): ForeignAnswer {
    return ForeignAnswer.of(response, this.options.baseUrl, this.known);
  }

  /**
   * Reports why a request is tried again. Without a callback this is one warning, and only while the service has never answered: otherwise
   * a wrong address, or an origin that is not allowed, would look like a slow service.
   */
  willRetry(error: unknown, inMs: number): void {
    if (!(error instanceof RejoinderError)) return;
    const { onRetry } = this.options;
    if (onRetry !== undefined) return onRetry(error, inMs);
    if (this.known || this.warned) return;
    this.warned = true;
    console.warn(`Rejoinder: ${error.message} Trying again.`);
  }

  /** The `ETag` of an answer's body; undefined when it had none, or is not an answer's body. */
  etagOf(body: object): string | undefined {
    return this.kept.etagOf(body);
  }

  private url({ path, query = {} }: HttpRequest): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return `${this.options.baseUrl}/api/v1${path}${search && `?${search}`}`;
  }

  private async send(
    url: string,
    { method, body, headers }: Omit<HttpRequest, 'signal'>,
    signal: AbortSignal,
  ): Promise<Response> {
    const all = {
      ...headers,
      authorization: `Bearer ${await this.bearer()}`,
      ...(body && { 'content-type': 'application/json' }),
    };
    signal.throwIfAborted();
    // Throws for a token or a key that no header may have. `fetch` would throw the same error as for a lost connection.
    void new Headers(all);
    const init = { method, headers: all, ...(body && { body: JSON.stringify(body) }), signal };
    const response = await this.options.fetch(url, init).catch((error: unknown) => {
      throw unreachable(this.options.baseUrl, error, this.known);
    });
    if (response.ok || response.status === 304) return response;
    throw await this.readError(response);
  }

  private async bearer(): Promise<string> {
    const { token } = this.options;
    if (typeof token === 'string') return token;
    try {
      return await token();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new ConnectionError(`There is no token: ${error.message}`, { cause: error });
    }
  }

  private async again<T>(request: HttpRequest, once: (tries: number) => Promise<T>): Promise<T> {
    const { method, repeatable = method === 'GET', patienceMs = this.options.retryForMs, signal } = request;
    let since = Date.now();
    for (let tries = 0; ; tries++) {
      const began = Date.now();
      try {
        return await once(tries);
      } catch (error) {
        signal?.throwIfAborted();
        // The wait that the service was asked for does not count as time without an answer.
        since += Math.min(Date.now() - began, waitOf(request, tries) * 1_000);
        const delayMs = retryDelay(tries, error);
        if (!repeatable || !isPassing(error) || Date.now() + delayMs - since > patienceMs) throw error;
        this.willRetry(error, delayMs);
        await pause(delayMs, signal);
      }
    }
  }

  /** All answers of the service are objects. */
  private async readJson(response: Response): Promise<{ body: object; characters: number }> {
    let cause: unknown;
    try {
      const text = await response.text();
      const body: unknown = JSON.parse(text);
      if (typeof body === 'object' && body !== null) return { body, characters: text.length };
    } catch (error) {
      cause = error;
    }
    if (!isJson(response)) throw this.foreign(response);
    throw new ConnectionError('The answer was cut off, or is not the service’s.', { cause });
  }

  /** An error with another shape than the service's comes from somebody else. */
  private async readError(response: Response): Promise<ApiError | ConnectionError> {
    const body: unknown = await response.json().catch(() => undefined);
    if (!isErrorBody(body)) return this.foreign(response);
    this.seen();
    return new ApiError(response.status, body, retryAfterOf(response.headers));
  }
}

/** How long the service may wait at this try, in seconds. */
function waitOf({ waitSeconds = 0 }: HttpRequest, tries: number): number {
  return tries === 0 ? waitSeconds : Math.min(waitSeconds, SHORT_WAIT_SECONDS);
}

/** The same request may succeed later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ForeignAnswer) return !error.isFinal;
  return error instanceof ConnectionError || (error instanceof ApiError && NOT_NOW.has(error.status));
}

/** An id or a slug as one segment of a path. An empty one, `.` and `..` would lead elsewhere, so they become a name that nobody has. */
export function segment(id: string): string {
  return (/^\.{0,2}$/.test(id) ? '%25' : '') + encodeURIComponent(id);
}

function isJson({ headers }: Response): boolean {
  return /^application\/json\b/i.test(headers.get('content-type') ?? '');
}

/** The value has the shape of the service's errors. */
export function isErrorBody(body: unknown): body is ErrorBody {
  if (typeof body !== 'object' || body === null) return false;
  const { code, message, request_id } = body as Record<string, unknown>;
  return [code, message, request_id].every((field) => typeof field === 'string');
}
