import { neverSent } from './never-sent.js';

/** An answer of more bytes than allowed. */
export class TooLong extends Error {
  constructor(readonly allowed: number) {
    super('too long');
    this.name = 'TooLong';
  }
}

/** The result of a request as the server sent it. */
export type RawResult = Readonly<Record<string, unknown>>;

/**
 * What we must know of one request and its answer, and the SDK does not tell: how much was read, whether the request may have left, and
 * what the server asked for meanwhile.
 */
export class Exchange {
  /** Whether the request may have reached the server. */
  sent = false;
  /** The last request that the server made of us. All are declined. */
  asked: string | undefined;
  /** How many requests the server has made of us. */
  asks = 0;
  /** Whether the last answer is a stream of messages, so that more may follow. */
  isStream = false;
  /** Called when the answer is longer than allowed. */
  onTooLong: ((fault: TooLong) => void) | undefined;
  readonly #allowed: number;
  #left: number;

  /**
   * @param bytes the most that is read of all answers together, after decompression
   * @param take receives the result and returns what the SDK checks. So one bad tool or an unknown kind of content does not spoil a whole
   *   answer.
   */
  constructor(
    bytes: number,
    readonly take: (result: RawResult) => RawResult = (result) => result,
  ) {
    this.#allowed = bytes;
    this.#left = bytes;
  }

  /** A `fetch` for this exchange. It limits answers, and does not follow redirects, which could take the headers elsewhere. */
  fetch(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
    return async (input, init) => {
      this.sent = true;
      let response: Response;
      try {
        response = await fetch(input, { ...init, redirect: 'manual' });
      } catch (error) {
        if (neverSent(error)) this.sent = false;
        throw error;
      }
      const { body, status, statusText, headers } = response;
      this.isStream = response.ok && /^text\/event-stream\b/i.test(headers.get('content-type') ?? '');
      if (body === null) return response;
      const kept = new Headers(headers);
      // The SDK would ask for an access token. Credentials are set by operators here.
      kept.delete('www-authenticate');
      const through = new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, controller) => {
          this.#left -= chunk.byteLength;
          if (this.#left >= 0) return controller.enqueue(chunk);
          const fault = new TooLong(this.#allowed);
          controller.error(fault);
          this.onTooLong?.(fault);
        },
      });
      return new Response(body.pipeThrough(through), { status, statusText, headers: kept });
    };
  }
}
