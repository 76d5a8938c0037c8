import type { ModelProxy } from '#settings/model-proxy.js';

/** A call that failed on its way through the proxy. Its words name the proxy's variable, and hold nothing of its value. */
export class ProxyFault extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = 'ProxyFault';
  }
}

/** How undici tells of a proxy's refusal of a request. That of a tunnel has a status. */
const REFUSED = /^Proxy Authentication Required \((407)\)/;

/** Marks of errors where no connection came about: calls of the system, and undici's limit of time. */
const AWAY = new Set(['connect', 'getaddrinfo', 'UND_ERR_CONNECT_TIMEOUT']);

/**
 * A `fetch` through the proxy. undici is loaded with the first call.
 *
 * It throws {@link ProxyFault} where the proxy is away, refuses, or the connection through it breaks before the answer begins; the
 * cause has what the system said. A call that was stopped throws what `fetch` throws then.
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

/** Through a proxy all connections are made to it: one that cannot be made says that it is away, not the model. */
function faultOf(name: string, error: unknown): ProxyFault {
  // `fetch` wraps what happened.
  const cause = (error as Error).cause ?? error;
  const { message, code, syscall, status } = cause as NodeJS.ErrnoException & { status?: number };
  return new ProxyFault(words(name, status ?? Number(REFUSED.exec(message)?.[1]), syscall ?? code), { cause });
}

function words(name: string, status: number, how: string | undefined): string {
  if (status === 407) return `${name} answered 407: it wants a user and a password, or others than it was given.`;
  if (status > 0) return `${name} answered ${status} when it was asked for the model.`;
  return AWAY.has(how ?? '') ? `${name} cannot be reached.` : `The connection through ${name} failed.`;
}
