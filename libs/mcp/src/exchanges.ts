import type {
  JSONRPCMessage,
  JSONRPCRequest,
  RequestId,
  StreamableHTTPClientTransport,
  Transport,
  TransportSendOptions,
} from '@modelcontextprotocol/client';
import { Exchange } from './exchange.js';

/** The header by which `send` finds a request's exchange. It never leaves the process. */
export const EXCHANGE = 'rejoinder-exchange';

/** Most bytes of an answer about the connection itself, and of the stream of notifications that a session may have. */
const OWN_BYTES = 1024 * 1024;

/** How long a notification may take, in milliseconds. */
const NOTIFICATION_MS = 10_000;

/** How long a stream may go on after its answer, in milliseconds. If it ends by itself, its connection can be used again. */
const LINGER_MS = 1_000;

/** Most requests of the server that are answered in one exchange: each costs a request of ours. */
const MOST_ASKS = 20;

/** The stream of an answer ended, and the answer was not in it. */
export class EndedEarly extends Error {
  constructor() {
    super('the answer ended early');
    this.name = 'EndedEarly';
  }
}

/** What makes the SDK's transport; the SDK is loaded late. */
export type Http = typeof StreamableHTTPClientTransport;

/**
 * A connection's transport: it makes one HTTP transport of the SDK for each message. So each request has its own limits, and ends alone. The
 * SDK's transport leaves the stream of a given-up request open as long as the server likes, and a request whose stream ends without an
 * answer waits for its time-out.
 */
export class Exchanges implements Transport {
  /** The SDK ends a request of the current protocol by its `requestSignal`. */
  readonly hasPerRequestStream = true;
  sessionId: string | undefined;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  #version: string | undefined;
  #closed = false;
  #entered = 0;
  readonly #byTag = new Map<string, Exchange>();
  readonly #open = new Map<RequestId, { readonly exchange: Exchange; readonly end: () => void }>();
  readonly #all = new Set<StreamableHTTPClientTransport>();

  constructor(
    private readonly http: Http,
    private readonly server: { readonly url: string; readonly headers: Readonly<Record<string, string>> },
    private readonly fetch: typeof globalThis.fetch,
  ) {}

  /** Registers an exchange, and returns the value of the header {@link EXCHANGE}. The caller ends it with {@link leave}. */
  enter(exchange: Exchange): string {
    const tag = String(++this.#entered);
    this.#byTag.set(tag, exchange);
    return tag;
  }

  leave(tag: string): void {
    this.#byTag.delete(tag);
  }

  async start(): Promise<void> {}

  setProtocolVersion(version: string): void {
    this.#version = version;
  }

  async send(message: JSONRPCMessage, options: TransportSendOptions = {}): Promise<void> {
    if (this.#closed) throw new Error('closed');
    if ('method' in message && 'id' in message) return this.#request(message, options);
    if ('method' in message && message.method === 'notifications/cancelled') {
      this.#open.get(message.params?.['requestId'] as RequestId)?.end();
    }
    // A session's stream begins with this notification: the server's requests come there, and are declined.
    const stays = 'method' in message && message.method === 'notifications/initialized' && this.sessionId !== undefined;
    const http = this.#http(new Exchange(OWN_BYTES), 0);
    const timer = setTimeout(() => void http.close(), NOTIFICATION_MS).unref();
    try {
      await http.send(message);
    } finally {
      clearTimeout(timer);
      if (!stays) void http.close();
    }
  }

  /** Ends all requests and streams, and tells the server that the session is over, without waiting for that. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const goodbye = this.sessionId === undefined ? undefined : this.#http(new Exchange(OWN_BYTES), 0);
    this.#closed = true;
    if (goodbye !== undefined) {
      this.#all.delete(goodbye);
      setTimeout(() => void goodbye.close(), NOTIFICATION_MS).unref();
      void goodbye.terminateSession().catch(() => undefined);
    }
    for (const { end } of [...this.#open.values()]) end();
    for (const http of [...this.#all]) void http.close();
    this.onclose?.();
  }

  /** Sends a request, and waits until its answer was handed on. @throws EndedEarly, and what the SDK's transport throws */
  async #request(message: JSONRPCRequest, { headers = {}, requestSignal }: TransportSendOptions): Promise<void> {
    const { [EXCHANGE]: tag = '', ...others } = headers;
    const exchange = this.#byTag.get(tag) ?? new Exchange(OWN_BYTES);
    const http = this.#http(exchange, 2);
    let linger = 0;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#open.set(message.id, { exchange, end: resolve });
        requestSignal?.addEventListener('abort', () => resolve(), { once: true });
        if (requestSignal?.aborted === true) resolve();
        exchange.onTooLong = reject;
        http.onmessage = (received) => {
          if (!isAnswer(received)) return this.#hear(received, exchange, [exchange]);
          // An error without an id is the answer to what was sent.
          if ((received.id ?? message.id) !== message.id) return;
          if (message.method === 'initialize') this.sessionId = http.sessionId;
          try {
            const taken = 'result' in received ? { result: exchange.take(received.result) } : {};
            this.onmessage?.({ ...received, ...taken, id: message.id });
          } catch (error) {
            reject(error);
          }
          linger = LINGER_MS;
          resolve();
        };
        const sent = http.send(message, { headers: others, onRequestStreamEnd: () => reject(new EndedEarly()) });
        sent.then(() => exchange.isStream || reject(new EndedEarly()), reject);
      });
    } finally {
      this.#open.delete(message.id);
      if (linger === 0) void http.close();
      else setTimeout(() => void http.close(), linger).unref();
    }
  }

  /** @param retries how often the SDK asks for the rest of a stream that breaks off, if the server can resume it */
  #http(exchange: Exchange, retries: number): StreamableHTTPClientTransport {
    const { url, headers } = this.server;
    const http = new this.http(new URL(url), {
      requestInit: { headers: { ...headers }, redirect: 'manual' },
      fetch: exchange.fetch(this.#withoutNeedlessStream()),
      ...(this.sessionId !== undefined && { sessionId: this.sessionId }),
      ...(this.#version !== undefined && { protocolVersion: this.#version }),
      reconnectionOptions: {
        initialReconnectionDelay: 500,
        maxReconnectionDelay: 5_000,
        reconnectionDelayGrowFactor: 2,
        maxRetries: retries,
      },
      onInsufficientScope: 'throw',
    });
    http.onclose = () => void this.#all.delete(http);
    // What comes beside answers may belong to any open request.
    http.onmessage = (message) => {
      if (!isAnswer(message))
        this.#hear(
          message,
          exchange,
          [...this.#open.values()].map((open) => open.exchange),
        );
    };
    this.#all.add(http);
    void http.start();
    return http;
  }

  /**
   * Hands on what the server says beside answers. The SDK declines its requests.
   *
   * @param concerned the exchanges that it may belong to
   */
  #hear(message: JSONRPCMessage, within: Exchange, concerned: readonly Exchange[]): void {
    if ('method' in message && 'id' in message) {
      within.asks += 1;
      if (within.asks > MOST_ASKS) return;
      // `ping` asks for nothing.
      if (message.method !== 'ping') for (const exchange of concerned) exchange.asked = message.method;
    }
    this.onmessage?.(message);
  }

  /** Without a session there is nothing to hear beside answers, so the SDK's `GET` for it is answered here. */
  #withoutNeedlessStream(): typeof globalThis.fetch {
    return (input, init) =>
      init?.method === 'GET' && this.sessionId === undefined && !new Headers(init.headers).has('last-event-id')
        ? Promise.resolve(new Response(null, { status: 405 }))
        : this.fetch(input, init);
  }
}

type Answer = Extract<JSONRPCMessage, { result: unknown } | { error: unknown }>;

function isAnswer(message: JSONRPCMessage): message is Answer {
  return 'result' in message || 'error' in message;
}
