import { isLoopback } from './loopback.js';
import { isExempt } from './no-proxy.js';

/** The proxy between this service and the model. */
export interface ModelProxy {
  /** The variable that names the proxy, for the log. */
  readonly name: string;
  /** Its address, which may hold a user and a password. */
  readonly url: string;
}

/**
 * The proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` give for the model at `address`; undefined: there is none on the way. Names in
 * small letters are read first, as in other programs. An `https://` address uses only `HTTPS_PROXY`, an `http://` address only
 * `HTTP_PROXY`, as in curl and Go: a proxy for one need not serve the other.
 *
 * A model on this machine never gets calls through a proxy, which would look for the model on its own machine. Go does the same; for other
 * programs people add `localhost` to `NO_PROXY`.
 *
 * The decision is made once, at start, since the model has one address and its redirects are not followed.
 *
 * Faults are added to `faults`; they name the variable and never repeat its value. A proxy that is not on the way is not checked.
 */
export function readModelProxy(
  address: string,
  text: (name: string) => string | undefined,
  faults: string[],
): ModelProxy | undefined {
  const { protocol, hostname } = new URL(address);
  const read = readProxy(protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY', text);
  if (read === undefined || isLoopback(hostname) || isDirect(readNoProxy(text), address)) return undefined;
  const fault = faultOf(read.url);
  if (fault === undefined) return read;
  faults.push(`${read.name} ${fault}`);
  return undefined;
}

/** The proxy on the way to servers whose addresses are known only when they are called. */
export interface CredentialsProxy {
  readonly proxy: ModelProxy;
  readonly noProxy: string;
}

/**
 * The proxy that `HTTPS_PROXY` gives for the servers that hand out credentials of AWS and Google. {@link proxyOnTheWay} says whether it is
 * on the way to one of them.
 */
export function readCredentialsProxy(
  text: (name: string) => string | undefined,
  faults: string[],
): CredentialsProxy | undefined {
  const proxy = readProxy('HTTPS_PROXY', text);
  if (proxy === undefined) return undefined;
  const fault = faultOf(proxy.url);
  if (fault === undefined) return { proxy, noProxy: readNoProxy(text) };
  const words = `${proxy.name} ${fault}`;
  // The model's own address may have reported the same.
  if (!faults.includes(words)) faults.push(words);
  return undefined;
}

/**
 * Whether the proxy is on the way to `address`. It never is for `http://`: these are servers beside the process, such as a cloud's metadata
 * server, which answers each machine with its own credentials.
 */
export function proxyOnTheWay({ proxy, noProxy }: CredentialsProxy, address: string): ModelProxy | undefined {
  const { protocol, hostname } = new URL(address);
  return protocol !== 'https:' || isLoopback(hostname) || isDirect(noProxy, address) ? undefined : proxy;
}

function isDirect(noProxy: string, address: string): boolean {
  const { protocol, hostname, port } = new URL(address);
  return isExempt(noProxy, hostname, Number(port) || (protocol === 'https:' ? 443 : 80));
}

function readNoProxy(text: (name: string) => string | undefined): string {
  return text('no_proxy') ?? text('NO_PROXY') ?? '';
}

function readProxy(upper: string, text: (name: string) => string | undefined): ModelProxy | undefined {
  const lower = upper.toLowerCase();
  const name = text(lower) === undefined ? upper : lower;
  const value = text(name);
  if (value === undefined) return undefined;
  return { name, url: value.includes('://') ? value : `http://${value}` };
}

function faultOf(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !/^\/?$/.test(url.pathname + url.search + url.hash)) {
    return (
      'must look like http://[user:password@]host[:port], or with https. ' +
      'In user and password, /, ?, # and @ are %2F, %3F, %23 and %40.'
    );
  }
  if ((url.username === '') !== (url.password === '')) {
    return 'has a user without a password, or a password without a user.';
  }
  try {
    decodeURIComponent(url.username + url.password);
  } catch {
    return 'has a % that begins no percent-encoding (RFC 3986, section 2.1); write a % as %25.';
  }
  return undefined;
}
