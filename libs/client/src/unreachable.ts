import { ConnectionError } from './errors.js';

/** The meaning of Node's connection errors, by code. */
const CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no network',
  ECONNRESET: 'the connection broke off',
  UND_ERR_SOCKET: 'the connection broke off',
  ETIMEDOUT: 'it accepts no connection',
  UND_ERR_CONNECT_TIMEOUT: 'it accepts no connection',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
};

/**
 * The error for a request that got no answer. It names possible causes, because a browser tells a page only that a fetch has failed.
 * @param known the service has answered this client before, so its address and the page's origin are right
 */
export function unreachable(baseUrl: string, cause: unknown, known: boolean): ConnectionError {
  const reason = known ? undefined : (reasonOf(cause) ?? hintForPages(baseUrl));
  const message = `The service cannot be reached${reason === undefined ? '' : ` at ${baseUrl}: ${reason}`}.`;
  return new ConnectionError(message, { cause });
}

function reasonOf(error: unknown): string | undefined {
  const { code } = ((error as { cause?: unknown } | undefined)?.cause ?? {}) as { code?: unknown };
  if (typeof code !== 'string') return undefined;
  return CODES[code] ?? (/CERT/.test(code) ? `its certificate is not trusted (${code})` : code);
}

function hintForPages(baseUrl: string): string | undefined {
  const page = (globalThis as { location?: Location }).location?.origin;
  if (page === undefined || new URL(baseUrl).origin === page) return undefined;
  const isSecure = page.startsWith('https:');
  if (isSecure && baseUrl.startsWith('http:')) return 'a page loaded by https may not ask an address with http';
  return `nothing answers there, or its CORS_ORIGINS does not name ${page}, this page’s origin`;
}
