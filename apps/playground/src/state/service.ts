import { Rejoinder } from '@rejoinder/client';
import { currentToken, renewed } from './session';
import { Store } from './store';

/** Whether the service answers. */
export const reach = new Store<'there' | 'away'>('there');

/** How long a turn that is followed, or sent, is come back to while the service is away, in milliseconds: a demo waits. */
const RECONNECT_FOR_MS = 10 * 60_000;

/** How long a look at something is repeated, in milliseconds; the page looks again by itself. */
const RETRY_FOR_MS = 2_000;

/** A client for whoever is signed in now. What it remembers is theirs, so another user gets another. */
export function connect(): Rejoinder {
  return new Rejoinder({
    // Where the page itself is, which may be below a path of a proxy.
    baseUrl: new URL('.', document.baseURI).href,
    token: currentToken,
    fetch: watchedFetch,
    retryForMs: RETRY_FOR_MS,
    reconnectForMs: RECONNECT_FOR_MS,
    // `reach` says it on the page.
    onRetry: () => undefined,
  });
}

/** Notes whether answers come, and asks once more with another token when one was refused. */
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

/** A turn that failed is a 502, too; the service's own. */
async function isOurs(response: Response): Promise<boolean> {
  const body = (await response
    .clone()
    .json()
    .catch(() => undefined)) as { code?: string } | undefined;
  return body?.code !== undefined && body.code !== 'unavailable';
}
