import { createSecretKey } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import type { Settings } from '#settings/settings.js';

/** Who is asking. */
export interface Caller {
  /** The token's `sub`. */
  readonly userId: string;
  /** When the token ends, in milliseconds since the epoch. */
  readonly expiresAt: number;
  /** What the token allows beyond its user's own things: the words of its `scope` (RFC 8693, section 4.2). */
  readonly scopes: ReadonlySet<string>;
}

const LONGEST_SUB = 255;

/** Verifies the bearer token (RFC 6750) as a JWT signed with HS256 (RFC 7519). */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(jwt: Settings['jwt']) {
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      // A key, made once. Of a text jsonwebtoken makes one for each request, and tries first whether it is a public one, which takes
      // longer than all the rest of the verification. Passport's types know of texts only.
      secretOrKey: createSecretKey(Buffer.from(jwt.secret)) as unknown as Buffer,
      // Pinned, so that the token's own `alg` decides nothing (RFC 8725, section 3.1).
      algorithms: ['HS256'],
      issuer: jwt.issuer,
      audience: jwt.audience,
      jsonWebTokenOptions: { clockTolerance: 5 },
    });
  }

  /** A token without a usable `sub`, or one that never expires, names nobody. */
  validate(payload: { sub?: unknown; exp?: unknown; scope?: unknown } | null): Caller | false {
    const { sub, exp, scope } = payload ?? {};
    if (!isUserId(sub) || typeof exp !== 'number' || !Number.isFinite(exp)) return false;
    return { userId: sub, expiresAt: exp * 1_000, scopes: scopesOf(scope) };
  }
}

const NO_SCOPES: ReadonlySet<string> = new Set();

/** Anything but a text says nothing. */
function scopesOf(scope: unknown): ReadonlySet<string> {
  return typeof scope === 'string' ? new Set(scope.split(' ')) : NO_SCOPES;
}

/** Whether a token may say so of its user: text that can be stored, 255 characters at most. */
export function isUserId(sub: unknown): sub is string {
  return (
    typeof sub === 'string' && sub !== '' && sub.length <= LONGEST_SUB && !sub.includes('\0') && sub.isWellFormed()
  );
}
