import { createRequire } from 'node:module';
import { outside } from './outside.js';

type Undici = typeof import('undici');

const { default: undici } = await outside<{ default: Undici }>(createRequire(import.meta.url).resolve('undici'));

export interface SentRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

/** An answer with its whole body. */
export interface ReceivedAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * Sends a request and reads the whole answer, with the errors of `fetch` at a quarter of its work. It follows no redirect.
 *
 * @throws TypeError `fetch failed` when there is no answer, and `terminated` when it breaks off, each with its cause; the signal's reason
 * when the signal ends it
 */
export async function send(url: string | URL, { method, headers, body, signal }: SentRequest): Promise<ReceivedAnswer> {
  const failed = (message: string) => (cause: unknown) => {
    throw signal?.aborted ? signal.reason : new TypeError(message, { cause });
  };
  const options = { method: method as 'GET', headers: { accept: '*/*', ...headers }, body, signal };
  const answer = await undici.request(url, options).catch(failed('fetch failed'));
  const text = await answer.body.text().catch(failed('terminated'));
  const received = new Headers();
  for (const [name, values] of Object.entries(answer.headers)) {
    for (const value of [values ?? []].flat()) received.append(name, value);
  }
  return { status: answer.statusCode, headers: received, text };
}
