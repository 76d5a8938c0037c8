import { Rejoinder } from '@rejoinder/client';
import { currentToken, renewed } from './session';
import { Store } from './store';

/** The service answers, or not. */
export const reach = new Store<'there' | 'away'>('there');

/** How long a turn is tried again while the service is away, in milliseconds. It is long, because the page is for demonstrations. */
const RECONNECT_FOR_MS = 10 * 60_000;

/** How long other requests are repeated, in milliseconds. It is short, because the page looks again by itself. */
const RETRY_FOR_MS = 2_000;

/** A client for the signed-in user. Its kept answers are that user's, so another user gets another client. */
export function connect(): Rejoinder {
  return new Rejoinder({
    // The page's own address, which may be below a path of a proxy.
    baseUrl: new URL('.', document.baseURI).href,
    token: currentToken,
    fetch: watchedFetch,
    retryForMs: RETRY_FOR_MS,
    reconnectForMs: RECONNECT_FOR_MS,
    // The page shows `reach` instead.
    onRetry: () => undefined,
  });
}

/** Notes whether the service answers, and repeats a request whose token was refused with a new token. */
async function watchedFetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const response = await reached(fetch(input, init), init.signal);
  if (response.status !== 401) return response;
  const headers = new Headers(init.headers);
  const next = await renewed(headers.get('authorization')?.replace('Bearer ', '') ?? '');
  if (next === undefined) return response;
  headers.set('authorization', `Bearer ${next}`);
  return reached(fetch(input, { ...init, headers }), init.signal);
}

async function reached(answer: Promise<Response>, signal: AbortSignal | null | undefined): Promise<Response> {
  try {
    const response = await answer;
    reach.set([502, 503, 504].includes(response.status) && !(await isOurs(response)) ? 'away' : 'there');
    return response;
  } catch (error) {
    if (signal?.aborted !== true) reach.set('away');
    throw error;
  }
}

/** The service itself answered. It also answers 502, for a turn that failed. */
async function isOurs(response: Response): Promise<boolean> {
  const body = (await response
    .clone()
    .json()
    .catch(() => undefined)) as { code?: string } | undefined;
  return body?.code !== undefined && body.code !== 'unavailable';
}
