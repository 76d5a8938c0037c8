/** What a token says of its key. It is read before anything is verified: it may choose among our keys, and nothing else. */
export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/**
 * Reads the header of a compact JWS (RFC 7515). Keys that it brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are not looked
 * at: who writes a token must not say what it is verified with (RFC 8725, section 3.10).
 *
 * @returns undefined when it cannot be read, or has extensions that must be understood (`crit`, section 4.1.11): we know none
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
