import type { KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { Strategy } from 'passport-jwt';
import type { Settings } from '#settings/settings.js';
import { readHeader } from './token-header.js';
import type { TokenKeys } from './token-keys.js';

/** Who is asking. */
export interface Caller {
  /** The token's `sub`. */
  readonly userId: string;
  /** When the token ends, in milliseconds since the epoch. */
  readonly expiresAt: number;
  /**
   * What the token allows beyond its user's own things: the words of its `scope` (RFC 8693, section 4.2), or of `scp`, as
   * Entra ID and Okta call it.
   */
  readonly scopes: ReadonlySet<string>;
}

const LONGEST_SUB = 255;

/** What the clock of whoever signs may be off, for `exp` and `nbf`. */
export const LEEWAY_SECONDS = 5;

/** Verifies the bearer token (RFC 6750) as a JWT (RFC 7519) signed with one of our keys. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor({ issuer, audience }: Settings['jwt'], keys: TokenKeys) {
    super({
      jwtFromRequest: ({ headers }: { headers: { authorization?: string } }) => tokenIn(headers.authorization ?? ''),
      secretOrKeyProvider: (_request: unknown, token: string, done: (error: unknown, key?: Buffer) => void) => {
        keyOf(token, keys)
          // Passport's types know of texts only.
          .then((key) => done(null, key as unknown as Buffer))
          // Also what the verification itself throws: it is done within `done`, and a payload may be anything.
          .catch(done);
      },
      algorithms: [...keys.algorithms],
      issuer,
      audience,
      jsonWebTokenOptions: { clockTolerance: LEEWAY_SECONDS },
    });
  }

  /** A token without a usable `sub`, or one that never expires, names nobody. */
  validate(payload: Record<'sub' | 'exp' | 'scope' | 'scp', unknown>): Caller | false {
    const { sub, exp, scope, scp } = payload;
    if (!isUserId(sub) || typeof exp !== 'number' || !Number.isFinite(exp)) return false;
    return { userId: sub, expiresAt: exp * 1_000, scopes: scopesOf(scope ?? scp) };
  }
}

/** `credentials` as RFC 6750, section 2.1, writes them, to their end: what follows a token would be read by nobody, or by somebody. */
const CREDENTIALS = /^Bearer +([\w.~+/-]+=*)$/i;

/** The token of an `Authorization`; null when it has none of ours. */
export function tokenIn(authorization: string): string | null {
  return CREDENTIALS.exec(authorization)?.[1] ?? null;
}

/** Words in one text, or a list of them. Anything else says nothing. */
function scopesOf(scope: unknown): ReadonlySet<string> {
  const words: unknown[] = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : [];
  return new Set(words.filter((word) => typeof word === 'string'));
}

/** @throws Error when no key of ours can have signed the token, ServiceError when that cannot be known now */
async function keyOf(token: string, keys: TokenKeys): Promise<KeyObject> {
  const header = readHeader(token);
  const key = header && (await keys.keyFor(header));
  if (key === undefined) throw new Error('no key for its header');
  return key;
}

/** Whether a token may say so of its user: text that can be stored, 255 characters at most. */
export function isUserId(sub: unknown): sub is string {
  return (
    typeof sub === 'string' && sub !== '' && sub.length <= LONGEST_SUB && !sub.includes('\0') && sub.isWellFormed()
  );
}
