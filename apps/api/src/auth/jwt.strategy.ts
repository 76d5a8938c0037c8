import type { KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { Strategy, type StrategyOptionsWithoutRequest } from 'passport-jwt';
import type { Settings } from '#settings/settings.js';
import { TokenFault } from './token-fault.js';
import { readHeader } from './token-header.js';
import type { TokenKeys } from './token-keys.js';
import { verifyToken } from './verify-token.js';

/** The caller of a request. */
export interface Caller {
  /** The token's `sub`. */
  readonly userId: string;
  /** When the token ends, in milliseconds since the epoch: its `exp` plus {@link LEEWAY_SECONDS}. */
  readonly endsAt: number;
  /**
   * The words of the token's `scope` (RFC 8693, section 4.2), or of `scp`, as Entra ID and Okta call it. A scope allows more than the
   * user's own data.
   */
  readonly scopes: ReadonlySet<string>;
}

type Claims = Partial<Record<'sub' | 'exp' | 'scope' | 'scp' | 'client_id' | 'azp', unknown>>;

const LONGEST_SUB = 255;

/** How far the signer's clock may be off, for `exp` and `nbf`. */
export const LEEWAY_SECONDS = 5;

// passport-jwt takes a verifier only here, and its types lack the property. A process has one strategy.
Object.assign(Strategy, { JwtVerifier: verifyToken });

/** Verifies the bearer token (RFC 6750) as a JWT (RFC 7519) signed with one of our keys. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  private readonly clientIds: readonly string[] | undefined;

  constructor({ issuer, audience, clientIds }: Settings['jwt'], keys: TokenKeys) {
    super({
      jwtFromRequest: ({ headers }: { headers: { authorization?: string } }) => tokenIn(headers.authorization ?? ''),
      secretOrKeyProvider: (_request: unknown, token: string, done: (error: unknown, key?: Buffer) => void) => {
        keyOf(token, keys)
          // Passport's types allow only texts.
          .then((key) => done(null, key as unknown as Buffer))
          .catch(done);
      },
      // Passport's types list only the algorithms of jsonwebtoken.
      algorithms: [...keys.algorithms] as StrategyOptionsWithoutRequest['algorithms'],
      issuer,
      audience,
      jsonWebTokenOptions: { clockTolerance: LEEWAY_SECONDS },
    });
    this.clientIds = clientIds;
  }

  /** The caller that a verified token names. @throws TokenFault when it names none */
  validate({ sub, exp, scope, scp, client_id: clientId, azp }: Claims): Caller {
    if (!isUserId(sub)) throw new TokenFault(`its sub is not a text of 1 to ${LONGEST_SUB} characters`);
    if (typeof exp !== 'number' || !Number.isFinite(exp)) throw new TokenFault('its exp is not a number');
    if (this.clientIds !== undefined && !this.clientIds.includes((clientId ?? azp) as string)) {
      throw new TokenFault('its client_id (or azp) is not in JWT_CLIENT_IDS');
    }
    return { userId: sub, endsAt: (exp + LEEWAY_SECONDS) * 1_000, scopes: scopesOf(scope ?? scp) };
  }
}

/** The whole `credentials` of RFC 6750, section 2.1. Text after a token is refused: servers would read it differently. */
const CREDENTIALS = /^Bearer +([\w.~+/-]+=*)$/i;

/** The token in an `Authorization` header; null: it has no bearer token. */
export function tokenIn(authorization: string): string | null {
  return CREDENTIALS.exec(authorization)?.[1] ?? null;
}

/** Scopes are words in one text, or a list of words. Any other value means no scopes. */
function scopesOf(scope: unknown): ReadonlySet<string> {
  const words: unknown[] = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : [];
  return new Set(words.filter((word) => typeof word === 'string'));
}

/** @throws TokenFault when none of our keys can have signed the token, ServiceError when our keys are not known at the moment */
async function keyOf(token: string, keys: TokenKeys): Promise<KeyObject> {
  const header = readHeader(token);
  if (header === undefined) throw new TokenFault('its header cannot be read, or has crit');
  const accepted = keys.algorithms as readonly string[];
  if (!accepted.includes(header.alg)) throw new TokenFault(`its alg is none of ${accepted.join(', ')}`);
  const key = await keys.keyFor(header);
  if (key !== undefined) return key;
  // The algorithm was checked above.
  const { alg, kid } = header;
  if (kid !== undefined) throw new TokenFault(`there is no key with its kid for ${alg}`);
  throw new TokenFault(`it has no kid, and there is not just one key for ${alg}`);
}

/** Whether this may be a user's id: text that can be stored, at most 255 characters (code points). */
export function isUserId(sub: unknown): sub is string {
  return typeof sub === 'string' && sub !== '' && isShort(sub) && !sub.includes('\0') && sub.isWellFormed();
}

/** A character has one or two code units, so a text with too many units need not be counted. */
function isShort(sub: string): boolean {
  return sub.length <= LONGEST_SUB || (sub.length <= 2 * LONGEST_SUB && [...sub].length <= LONGEST_SUB);
}
