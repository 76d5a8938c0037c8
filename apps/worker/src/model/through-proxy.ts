import { type Dispatcher, fetch, Pool, ProxyAgent, type RequestInit } from 'undici';

/** How long a proxy may take to open a tunnel, in milliseconds: undici's own limit for a connection. */
const TUNNEL_MS = 10_000;

/**
 * undici's `fetch` through a proxy. The proxy's address may hold a user and a password. For an `https://` server it asks the proxy for a
 * tunnel (`CONNECT`), so that the proxy sees name and port but not the key. It sends a request to an `http://` server to the proxy itself,
 * as all clients do: many proxies refuse tunnels to ports other than 443.
 *
 * It uses undici's own `fetch`, since Node's belongs to another version, which may not accept this agent. It uses `ProxyAgent`: our
 * settings name the proxy, and `EnvHttpProxyAgent` would read missing options from the environment.
 *
 * This file becomes a separate bundle, which only a worker with a proxy loads. So it must not share our modules with the program.
 */
export function fetchThrough(url: string): typeof globalThis.fetch {
  const dispatcher = new ProxyAgent({
    uri: url,
    proxyTunnel: false,
    clientFactory: tunnels,
    // The call itself limits how long the model may be silent.
    factory: (origin, options) => new Pool(origin, { ...options, headersTimeout: 0, bodyTimeout: 0 }),
  });
  return ((input: string, init?: RequestInit) => fetch(input, { ...init, dispatcher })) as typeof globalThis.fetch;
}

/** The connections to the proxy that ask for tunnels. */
function tunnels(proxy: URL, options: object): Dispatcher {
  const pool = new Pool(proxy, options);
  return Object.assign(pool, { connect: tunnel.bind(undefined, pool.connect.bind(pool)) });
}

/**
 * Asks for a tunnel. On failure it throws our own error: undici takes a broken connection (`UND_ERR_SOCKET`) for an idle one that was
 * closed, and tries again at once, without end if the proxy breaks each one. The wait is limited: undici would wait minutes for a silent
 * proxy, and all other calls would wait as well.
 */
async function tunnel(
  connect: (options: Dispatcher.ConnectOptions) => Promise<Dispatcher.ConnectData>,
  options: Dispatcher.ConnectOptions,
): Promise<Dispatcher.ConnectData> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TUNNEL_MS);
  let answer: Dispatcher.ConnectData;
  try {
    answer = await connect({ ...options, signal: controller.signal });
  } catch (cause) {
    const { code, syscall } = cause as NodeJS.ErrnoException;
    if (syscall !== undefined || code === 'UND_ERR_CONNECT_TIMEOUT') throw cause;
    throw new NoTunnel(undefined, { cause });
  } finally {
    clearTimeout(timer);
  }
  if (answer.statusCode === 200) return answer;
  answer.socket.on('error', () => undefined).destroy();
  throw new NoTunnel(answer.statusCode);
}

class NoTunnel extends Error {
  readonly code = 'NO_TUNNEL';

  /** @param status the proxy's answer, if it gave one */
  constructor(
    readonly status: number | undefined,
    options?: ErrorOptions,
  ) {
    super('no tunnel', options);
    this.name = 'NoTunnel';
  }
}
