import { ApiError, ConnectionError, RejoinderError } from './errors.js';
import { ForeignAnswer } from './foreign-answer.js';
import { type Answer, KeptAnswers } from './kept-answers.js';
import type { ErrorBody } from './types.js';
import { unreachable } from './unreachable.js';
import { linked, orAborted, pause, retryAfterOf, retryDelay, timer } from './waiting.js';

/**
 * A bearer token, or where to get one: it is asked for before each request, so that it may be renewed meanwhile. What it throws
 * ends the request, except a TypeError, which is what `fetch` throws where there is no network: that is no answer.
 */
export type Token = string | (() => string | Promise<string>);

export interface HttpOptions {
  /** Where the service is, with or without a path; without the contract's `/api/v1`. */
  readonly baseUrl: string;
  readonly token: Token;
  /** How long a request that gets no answer, or `429` or `503`, is sent again and again, in milliseconds. */
  readonly retryForMs: number;
  /** The same of a reply that is waited for or followed: it goes on meanwhile, and is worth more patience. */
  readonly reconnectForMs: number;
  /** How long one answer may take, in milliseconds, beyond what the request itself asks to wait. */
  readonly timeoutMs: number;
  readonly fetch: typeof globalThis.fetch;
  /** Called each time before something is tried again. */
  readonly onRetry: OnRetry | undefined;
}

/** Learns at once why something is about to be tried again, and in how many milliseconds. What it throws ends the request. */
export type OnRetry = (error: RejoinderError, inMs: number) => void;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below `/api/v1`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** How long the service is asked to wait with its answer, in seconds (`Prefer: wait`). */
  readonly waitSeconds?: number;
  /** Whether it may be sent twice; a `GET` may. */
  readonly repeatable?: boolean;
  /** How long it is sent again and again, in milliseconds; `retryForMs` unless told. */
  readonly patienceMs?: number;
}

/** Longest event of a stream, or line of an export, that is read, in UTF-16 code units: the longest reply takes less, escaped as JSON. */
export const LONGEST_TEXT = 64 * 1024 * 1024;

/** Statuses by which the service says "not now". A proxy's own are a {@link ForeignAnswer}. */
const NOT_NOW = new Set([429, 503]);

/** How long the service is asked to wait once a wait was cut short: something on the way may allow no longer ones. In seconds. */
const SHORT_WAIT_SECONDS = 10;

/** Requests to one service: the token, the time limits, sending again, and what is known already. */
export class Http {
  private readonly kept = new KeptAnswers();
  /** The service has answered: its address is right. */
  private known = false;
  private warned = false;

  constructor(readonly options: HttpOptions) {}

  /**
   * One request, and its answer as JSON. A `GET` whose answer is known and unchanged costs a `304`, and gives the very same
   * object again; it is frozen, for many may hold it.
   * @throws ApiError, ConnectionError, or what `signal` says
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
          const { status, headers: told } = response;
          if (status === 204) return { status, headers: told, body: undefined as T };
          const { body, characters } = await this.readJson(response);
          this.seen();
          const answer = { status, headers: told, body };
          if (request.method === 'GET') this.kept.keep(url, answer, characters);
          else this.kept.tag(answer);
          return answer as Answer<T>;
        });
      } catch (error) {
        request.signal?.throwIfAborted();
        // What is to be deleted and is not there: an earlier try did it, and its answer got lost.
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

  /**
   * One request, sent once, whose answer is read as it comes; it ends when `signal` says so.
   * @throws ApiError, ConnectionError
   */
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
   * Says why something is tried again. Without a callback it is said once, and only before the service has ever answered: a wrong address and a
   * page's origin that is not allowed would otherwise look like a service that is slow.
   */
  willRetry(error: unknown, inMs: number): void {
    if (!(error instanceof RejoinderError)) return;
    const { onRetry } = this.options;
    if (onRetry !== undefined) return onRetry(error, inMs);
    if (this.known || this.warned) return;
    this.warned = true;
    console.warn(`Rejoinder: ${error.message} Trying again.`);
  }

  /** The `ETag` that came with what was answered; undefined when it is not an answer's body, or had none. */
  etagOf(body: object): string | undefined {
    return this.kept.etagOf(body);
  }

  private url({ path, query = {} }: HttpRequest): string {
    const said = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
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
    // A token or a key that cannot be sent is no matter of the connection, and fares no better later.
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
        // What the service was asked to wait tries nobody's patience.
        since += Math.min(Date.now() - began, waitOf(request, tries) * 1_000);
        const delayMs = retryDelay(tries, error);
        if (!repeatable || !isPassing(error) || Date.now() + delayMs - since > patienceMs) throw error;
        this.willRetry(error, delayMs);
        await pause(delayMs, signal);
      }
    }
  }

  /** All of the service's answers are objects. */
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

  /** The service's errors have a shape of their own. An answer with another shape is somebody else's. */
  private async readError(response: Response): Promise<ApiError | ConnectionError> {
    const body: unknown = await response.json().catch(() => undefined);
    if (!isErrorBody(body)) return this.foreign(response);
    this.seen();
    return new ApiError(response.status, body, retryAfterOf(response.headers));
  }
}

/** How long the service is asked to wait at such a try, in seconds. */
function waitOf({ waitSeconds = 0 }: HttpRequest, tries: number): number {
  return tries === 0 ? waitSeconds : Math.min(waitSeconds, SHORT_WAIT_SECONDS);
}

/** Whether the same request may fare better later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ForeignAnswer) return !error.isFinal;
  return error instanceof ConnectionError || (error instanceof ApiError && NOT_NOW.has(error.status));
}

/** An id or a slug as one part of a path. Nothing, `.` and `..` would lead elsewhere, however they are written: they get a name nobody has. */
export function segment(id: string): string {
  return (/^\.{0,2}$/.test(id) ? '%25' : '') + encodeURIComponent(id);
}

function isJson({ headers }: Response): boolean {
  return /^application\/json\b/i.test(headers.get('content-type') ?? '');
}

/** Whether a value has the one shape of the service's errors. */
export function isErrorBody(body: unknown): body is ErrorBody {
  if (typeof body !== 'object' || body === null) return false;
  const { code, message, request_id } = body as Record<string, unknown>;
  return [code, message, request_id].every((field) => typeof field === 'string');
}
