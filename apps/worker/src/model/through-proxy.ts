import { type Dispatcher, fetch, Pool, ProxyAgent, type RequestInit } from 'undici';

/** Time a proxy has to make a tunnel, in milliseconds: as long as undici gives a connection. */
const TUNNEL_MS = 10_000;

/**
 * undici's `fetch` through a proxy, given by its address, which may hold a user and a password. For a server of `https://` it asks
 * the proxy for a tunnel (`CONNECT`), so that the proxy sees a name and a port, and no key. A request to `http://` is sent to the
 * proxy as it is, as all clients do: many proxies refuse tunnels to other ports than 443.
 *
 * It is undici's own `fetch`, as that of Node is of another version than the agent and need not take it. `ProxyAgent` and not
 * `EnvHttpProxyAgent`: whether there is a proxy on the way is known from the settings, and the latter reads the environment for
 * whatever it is not given.
 *
 * This ships as a program's own file, which is read only where there is a proxy: so it must share no module of ours with the program.
 */
export function fetchThrough(url: string): typeof globalThis.fetch {
  const dispatcher = new ProxyAgent({
    uri: url,
    proxyTunnel: false,
    clientFactory: tunnels,
    // How long the model may be silent is the call's to say.
    factory: (origin, options) => new Pool(origin, { ...options, headersTimeout: 0, bodyTimeout: 0 }),
  });
  return ((input: string, init?: RequestInit) => fetch(input, { ...init, dispatcher })) as typeof globalThis.fetch;
}

/** The connections by which tunnels are asked for. */
function tunnels(proxy: URL, options: object): Dispatcher {
  const pool = new Pool(proxy, options);
  return Object.assign(pool, { connect: tunnel.bind(undefined, pool.connect.bind(pool)) });
}

/**
 * Asks for a tunnel. A failure is thrown as an error of our own kind: undici takes a connection that breaks (`UND_ERR_SOCKET`) for
 * one that was idle, and asks again at once, without end, where a proxy breaks off each. The wait is bounded: undici would wait
 * minutes for a proxy that says nothing, with all calls behind this one.
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

  /** `status`: what the proxy answered, if it did. */
  constructor(
    readonly status: number | undefined,
    options?: ErrorOptions,
  ) {
    super('no tunnel', options);
    this.name = 'NoTunnel';
  }
}
