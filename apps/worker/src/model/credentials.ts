import { timeLimit } from '#process/time-limit.js';
import { type CredentialsProxy, proxyOnTheWay } from '#settings/model-proxy.js';
import { boundedFetch } from './bounded-fetch.js';
import { type ModelFault, operatorMust } from './model-fault.js';
import { proxiedFetch } from './proxied-fetch.js';

/** How long a server may take to give credentials, in milliseconds. The providers' libraries ask again if that may help. */
const LONGEST_ASKING_MS = 10_000;

/** An answer with credentials has a few kilobytes. */
const LARGEST = { answer: 1024 * 1024, refusal: 64 * 1024 };

/**
 * The `fetch` with which the libraries of AWS and Google ask their servers for credentials: through the proxy where one is on the way, with
 * bounds on the time and on the answer. A redirect is an answer without credentials.
 */
export function credentialsFetch(
  through: CredentialsProxy | undefined,
  longestMs = LONGEST_ASKING_MS,
): typeof globalThis.fetch {
  const proxied = through === undefined ? undefined : proxiedFetch(through.proxy);
  const bounded = boundedFetch(async (input, init) => {
    const address = input instanceof Request ? input.url : String(input);
    const onProxy = proxied !== undefined && through !== undefined && proxyOnTheWay(through, address) !== undefined;
    return (onProxy ? proxied : globalThis.fetch)(address, init);
  }, LARGEST);
  return async (input, init) => {
    const limit = timeLimit(longestMs, ...(init?.signal ? [init.signal] : []));
    try {
      const response = await bounded(input, { ...init, redirect: 'manual', signal: limit.signal });
      const { status, statusText, headers } = response;
      // The body is read here, within the limit. `Response` takes none with these statuses.
      const body = [204, 205, 304].includes(status) ? null : await response.arrayBuffer();
      return new Response(body, { status, statusText, headers });
    } finally {
      limit.release();
    }
  };
}

/** Why a library has no credentials, in its own words. They are about the machine's configuration; no client can write them. */
class CredentialsFault extends Error {
  constructor(cause: unknown) {
    super(wordsOf(cause), { cause });
    this.name = 'CredentialsFault';
  }
}

/**
 * The fault for a call that cannot be made without credentials. Turns wait, since the next one would fail as well, and a probe finds out
 * when the credentials are there again.
 */
export function noCredentials(cause: unknown): ModelFault {
  const message = 'The worker has no credentials for the model’s provider.';
  return operatorMust('model_unauthorized', message, 'all', { cause: new CredentialsFault(cause) });
}

function wordsOf(cause: unknown): string {
  const [words = ''] = (cause instanceof Error ? cause.message : '').split('\n', 1);
  // The error of a program that AWS's configuration names repeats its arguments.
  return /^Command failed/.test(words) || words === '' ? 'no reason given' : words.slice(0, 300);
}
