/** Codes of errors before there is a connection. */
const NO_CONNECTION = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_INVALID_URL',
]);

/** Codes of a certificate that is not accepted. */
const NO_TRUST = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

/** The first code of the system or of `fetch` in an error and its causes, such as `ECONNREFUSED`. The SDK's own codes do not count. */
export function codeOf(error: unknown): string | undefined {
  for (const { code, name } of chain(error)) {
    if (typeof code === 'string' && /^[A-Z_]+$/.test(code) && !String(name).startsWith('Sdk')) return code;
  }
  return undefined;
}

/** Whether `fetch` refuses the request itself, for instance its address or a header. */
export function isUnusable(error: unknown): boolean {
  return (
    codeOf(error) === undefined &&
    chain(error).some(({ name, message }) => name === 'TypeError' && /^fetch failed$|URL|Headers/.test(String(message)))
  );
}

/** Whether the error of a `fetch` shows that no byte of the request has reached the server. */
export function neverSent(error: unknown): boolean {
  if (isUnusable(error)) return true;
  return chain(error).some(
    ({ code, syscall }) =>
      syscall === 'connect' ||
      syscall === 'getaddrinfo' ||
      (typeof code === 'string' && (NO_CONNECTION.has(code) || NO_TRUST.test(code))),
  );
}

/** Whether the error shows that the server's certificate is not accepted. */
export function notTrusted(error: unknown): boolean {
  return NO_TRUST.test(codeOf(error) ?? '');
}

interface Link {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly syscall?: unknown;
  readonly cause?: unknown;
}

/** An error and its causes. */
export function chain(error: unknown): Link[] {
  const links: Link[] = [];
  for (let link = error; typeof link === 'object' && link !== null && links.length < 6; link = (link as Link).cause)
    links.push(link);
  return links;
}
