import type { ModelProxy } from '#settings/model-proxy.js';

/** A call that failed on its way through the proxy. Its message names the proxy's variable, but not the value. */
export class ProxyFault extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = 'ProxyFault';
  }
}

/** undici's words when a proxy refuses a request. The refusal of a tunnel has a status instead. */
const REFUSED = /^Proxy Authentication Required \((407)\)/;

/** Errors that mean that there was no connection: failed system calls, and undici's time-out. */
const AWAY = new Set(['connect', 'getaddrinfo', 'UND_ERR_CONNECT_TIMEOUT']);

/**
 * A `fetch` through the proxy. undici is loaded with the first call.
 *
 * It throws {@link ProxyFault} if the proxy is away, if it refuses, or if its connection breaks before the answer begins; the cause is the
 * system's error. A call that was stopped throws what `fetch` throws.
 */
export function proxiedFetch(proxy: ModelProxy): typeof globalThis.fetch {
  let through: Promise<typeof globalThis.fetch> | undefined;
  return async (input, init) => {
    through ??= import('./through-proxy.js').then(({ fetchThrough }) => fetchThrough(proxy.url));
    const fetch = await through;
    try {
      return await fetch(input, init);
    } catch (error) {
      if (init?.signal?.aborted === true) throw error;
      throw faultOf(proxy.name, error);
    }
  };
}

/** All connections lead to the proxy, so a failed one means that the proxy is away, not the model. */
function faultOf(name: string, error: unknown): ProxyFault {
  // `fetch` wraps the error.
  const cause = (error as Error).cause ?? error;
  const { message, code, syscall, status } = cause as NodeJS.ErrnoException & { status?: number };
  return new ProxyFault(words(name, status ?? Number(REFUSED.exec(message)?.[1]), syscall ?? code), { cause });
}

function words(name: string, status: number, how: string | undefined): string {
  if (status === 407) return `${name} answered 407: it needs a user and a password, or different ones.`;
  if (status > 0) return `${name} answered ${status} to the request for the model.`;
  return AWAY.has(how ?? '') ? `${name} cannot be reached.` : `The connection through ${name} failed.`;
}
