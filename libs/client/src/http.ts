import { ApiError, ConnectionError } from './errors.js';
import type { ErrorBody } from './types.js';
import { linked, pause, retryDelay } from './waiting.js';

/** A bearer token, or where to get one: it is asked for before each request, so that it may be renewed meanwhile. */
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
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH';
  /** Below `/api/v1`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** How long the service was asked to wait, in milliseconds. */
  readonly waitMs?: number;
  /** Whether it may be sent twice; a `GET` may. */
  readonly repeatable?: boolean;
  /** How long it is sent again and again, in milliseconds; `retryForMs` unless told. */
  readonly patienceMs?: number;
}

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** Answers with an `ETag` that are kept, the least recently used given up first. */
const KEPT_ANSWERS = 100;

/** Statuses that say "not now". A proxy's own 502 and 504 count as no answer: see `readError`. */
const NOT_NOW = new Set([429, 503]);

/** Requests to one service: the token, the time limits, sending again, and what is known already. */
export class Http {
  private readonly kept = new Map<string, { etag: string; answer: Answer<unknown> }>();
  private readonly etags = new WeakMap<object, string>();

  constructor(readonly options: HttpOptions) {}

  /**
   * One request, and its answer as JSON. A `GET` whose answer is known and unchanged costs a `304`, and gives the very same
   * object again.
   * @throws ApiError, ConnectionError, or what `signal` says
   */
  async json<T>(request: HttpRequest): Promise<Answer<T>> {
    const url = this.url(request);
    const known = request.method === 'GET' ? this.kept.get(url) : undefined;
    const headers = { accept: 'application/json', ...(known && { 'if-none-match': known.etag }), ...request.headers };
    return this.again(request, async () => {
      const { controller, letGo } = linked(request.signal);
      const timer = setTimeout(() => controller.abort(), this.options.timeoutMs + (request.waitMs ?? 0));
      try {
        const response = await this.send(url, { ...request, headers }, controller.signal);
        if (response.status === 304 && known !== undefined) {
          this.keep(url, known);
          return known.answer as Answer<T>;
        }
        const answer = { status: response.status, headers: response.headers, body: await readJson<T>(response) };
        const etag = response.headers.get('etag');
        if (etag !== null) this.etags.set(answer.body as object, etag);
        if (request.method === 'GET' && etag !== null) this.keep(url, { etag, answer });
        return answer;
      } catch (error) {
        request.signal?.throwIfAborted();
        if (!controller.signal.aborted) throw error;
        throw new ConnectionError('The service did not answer in time.', { cause: error });
      } finally {
        clearTimeout(timer);
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
    return this.send(this.url(request), { ...request, headers }, signal);
  }

  /** The `ETag` that came with what was answered; undefined when it is not an answer's body, or had none. */
  etagOf(body: object): string | undefined {
    return this.etags.get(body);
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
    const { token, fetch } = this.options;
    const bearer = typeof token === 'string' ? token : await token();
    const response = await fetch(url, {
      method,
      headers: {
        ...headers,
        authorization: `Bearer ${bearer}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal,
    }).catch((error: unknown) => {
      throw new ConnectionError('The service cannot be reached.', { cause: error });
    });
    if (response.ok || response.status === 304) return response;
    throw await readError(response);
  }

  private async again<T>(request: HttpRequest, once: () => Promise<T>): Promise<T> {
    const { method, repeatable = method === 'GET', patienceMs = this.options.retryForMs, signal } = request;
    const began = Date.now();
    for (let tries = 0; ; tries++) {
      try {
        return await once();
      } catch (error) {
        signal?.throwIfAborted();
        const delayMs = retryDelay(tries, error);
        if (!repeatable || !isPassing(error) || Date.now() + delayMs - began > patienceMs) throw error;
        await pause(delayMs, signal);
      }
    }
  }

  private keep(url: string, answer: { etag: string; answer: Answer<unknown> }): void {
    this.kept.delete(url);
    this.kept.set(url, answer);
    const [oldest] = this.kept.keys();
    if (this.kept.size > KEPT_ANSWERS && oldest !== undefined) this.kept.delete(oldest);
  }
}

/** Whether the same request may fare better later. */
export function isPassing(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof ApiError && NOT_NOW.has(error.status));
}

async function readJson<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch (error) {
    throw new ConnectionError('The answer was cut off, or is not the service’s.', { cause: error });
  }
}

/** The service's errors have a shape of their own. What has another is somebody's on the way, and says nothing of the request. */
async function readError(response: Response): Promise<ApiError | ConnectionError> {
  const body: unknown = await response.json().catch(() => undefined);
  if (!isErrorBody(body)) return new ConnectionError(`Something on the way answered ${response.status}.`);
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  return new ApiError(response.status, body, Number.isFinite(seconds) ? seconds * 1_000 : undefined);
}

function isErrorBody(body: unknown): body is ErrorBody {
  if (typeof body !== 'object' || body === null) return false;
  const { code, message, request_id } = body as Record<string, unknown>;
  return [code, message, request_id].every((field) => typeof field === 'string');
}
