import { developmentSecret } from './development-secret.js';
import { canBeGuessed } from './guessable.js';

/** How tokens are verified. At most one of `secret` and `jwksUri` is set. If neither is, the program verifies no tokens. */
export interface TokenKeySettings {
  /** The secret of a signer that uses HS256. */
  readonly secret: string | undefined;
  /** The secret is the one under DATA_DIR, because none is set. Any user of this machine may make tokens. */
  readonly development: boolean;
  /** Where an identity provider publishes its keys (RFC 7517, section 5), for the algorithms that have public keys. */
  readonly jwksUri: string | undefined;
}

/** Claims that tokens must have; a setting that is undefined demands nothing. */
export interface TokenClaimSettings {
  readonly issuer?: string;
  readonly audience?: string;
  /** The clients whose tokens are accepted, by `client_id` or `azp`; not empty. */
  readonly clientIds?: readonly string[];
}

type Read = (name: string) => string | undefined;

/** Parses `JWT_SECRET` and `JWT_JWKS_URI`. Exactly one must be set; outside production, a secret is made if both are missing. */
export function readTokenKeys(production: boolean, text: Read, faults: string[]): TokenKeySettings {
  const secret = text('JWT_SECRET');
  const jwksUri = text('JWT_JWKS_URI');
  if (secret !== undefined && jwksUri !== undefined) {
    faults.push('JWT_SECRET and JWT_JWKS_URI are both set; set only one of them.');
  }
  const fault =
    (secret === undefined ? undefined : faultOfSecret(secret, production)) ??
    (jwksUri === undefined ? undefined : faultOfJwksUri(jwksUri, production));
  if (fault !== undefined) faults.push(fault);
  if (secret !== undefined || jwksUri !== undefined) return { secret, development: false, jwksUri };
  if (production) {
    faults.push('JWT_SECRET (or JWT_JWKS_URI) is not set; in production there is no default for it.');
    return { secret: undefined, development: false, jwksUri: undefined };
  }
  return { secret: developmentSecret(text('DATA_DIR') ?? '.data'), development: true, jwksUri: undefined };
}

/** Reads `JWT_ISSUER`, `JWT_AUDIENCE` and `JWT_CLIENT_IDS`. */
export function readTokenClaims(text: Read, faults: string[]): TokenClaimSettings {
  const listed = text('JWT_CLIENT_IDS')
    ?.split(',')
    .map((id) => id.trim());
  if (listed?.includes('') === true) faults.push('JWT_CLIENT_IDS must be names with commas between them.');
  return { issuer: text('JWT_ISSUER'), audience: text('JWT_AUDIENCE'), clientIds: listed };
}

/** HS256 wants a key of at least its hash's size: 32 bytes (RFC 7518, section 3.2). */
const SHORTEST_SECRET = 32;

/** Why a secret must not be used. In production it also must not be guessable. */
export function faultOfSecret(secret: string, production: boolean): string | undefined {
  if (Buffer.byteLength(secret) < SHORTEST_SECRET) return `JWT_SECRET must be at least ${SHORTEST_SECRET} bytes long.`;
  if (!production || !canBeGuessed(secret)) return undefined;
  return 'JWT_SECRET can be guessed; make one with `openssl rand -base64 48`.';
}

/** Names of this machine: no network lies between it and a provider here. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** An attacker who can change the fetched keys can sign tokens, so over a network the address must be https. */
function faultOfJwksUri(uri: string, production: boolean): string | undefined {
  const { protocol, hostname, username, password } = URL.canParse(uri) ? new URL(uri) : ({} as Partial<URL>);
  if (protocol !== 'https:' && protocol !== 'http:') {
    return 'JWT_JWKS_URI must be an address that begins with https:// or http://.';
  }
  if (username || password) return 'JWT_JWKS_URI must have no user and no password in it.';
  if (production && protocol === 'http:' && !LOOPBACK.test(hostname ?? '')) {
    return 'JWT_JWKS_URI must begin with https:// in production, unless it is on this machine.';
  }
  return undefined;
}
