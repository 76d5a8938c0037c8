import jwt from 'jsonwebtoken';
import type { Settings } from '#settings/settings.js';

/**
 * A token for `user` that a service with these settings accepts.
 * @param expiresIn how long the token is valid: seconds, or a span such as `12h` or `30d`
 * @param scope what the token allows beyond the user's own data, such as `admin`
 * @throws Error when the span is invalid, or an identity provider signs the tokens
 */
export function signToken(
  user: string,
  { secret, issuer, audience, clientIds }: Omit<Settings['jwt'], 'development' | 'jwksUri'>,
  expiresIn: string | number,
  scope?: string,
): string {
  if (secret === undefined) {
    throw new Error('Tokens come from the identity provider of JWT_JWKS_URI; none can be signed here.');
  }
  const clientId = clientIds?.[0];
  const claims = { ...(scope !== undefined && { scope }), ...(clientId !== undefined && { client_id: clientId }) };
  return jwt.sign(claims, secret, {
    algorithm: 'HS256',
    subject: user,
    expiresIn: expiresIn as jwt.SignOptions['expiresIn'],
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
  });
}
