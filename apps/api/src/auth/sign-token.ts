import jwt from 'jsonwebtoken';
import type { Settings } from '#settings/settings.js';

/**
 * A token for `user` that a service with these settings accepts.
 * @param expiresIn how long it holds: seconds, or a span such as `12h` or `30d`
 * @throws Error when the span means nothing
 */
export function signToken(
  user: string,
  { secret, issuer, audience }: Pick<Settings['jwt'], 'secret' | 'issuer' | 'audience'>,
  expiresIn: string | number,
): string {
  return jwt.sign({}, secret, {
    algorithm: 'HS256',
    subject: user,
    expiresIn: expiresIn as jwt.SignOptions['expiresIn'],
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
  });
}
