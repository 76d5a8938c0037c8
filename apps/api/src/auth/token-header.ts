/** The key and the algorithm that a token names. They are read before the token is verified, so they may only choose among our keys. */
export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/**
 * Reads the header of a compact JWS (RFC 7515). Keys that the header contains or points to (`jwk`, `jku`, `x5c`, `x5u`) are ignored: the
 * author of a token must not choose the key that verifies it (RFC 8725, section 3.10).
 *
 * @returns undefined when the header cannot be read, or has critical extensions (`crit`, section 4.1.11), none of which is supported
 */
export function readHeader(token: string): TokenHeader | undefined {
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString());
  } catch {
    return undefined;
  }
  if (typeof header !== 'object' || header === null || 'crit' in header) return undefined;
  const { alg, kid } = header as { alg?: unknown; kid?: unknown };
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return undefined;
  return { alg, kid };
}
