import jwt from 'jsonwebtoken';
import { developmentSecret } from '#settings/development-secret.js';
import { SHORTEST_SECRET } from '#settings/settings.js';

export interface TokenOptions {
  /** How long it holds: seconds, or a span such as `12h` or `30d`. */
  readonly expiresIn: string | number;
}

/**
 * A token for `user` that a service with this environment accepts: signed with `JWT_SECRET` (or the development secret
 * under `DATA_DIR`), for `JWT_ISSUER` and `JWT_AUDIENCE` where they are set.
 *
 * @throws Error when the environment is production's and has no secret, or when the span means nothing
 */
export function signToken(user: string, env: NodeJS.ProcessEnv, options: TokenOptions): string {
  const setting = (name: string): string | undefined => env[name]?.trim() || undefined;
  if (setting('NODE_ENV') === 'production' && setting('JWT_SECRET') === undefined) {
    throw new Error('JWT_SECRET is not set; in production there is no default for it.');
  }
  const secret = setting('JWT_SECRET') ?? developmentSecret(setting('DATA_DIR') ?? '.data');
  if (Buffer.byteLength(secret) < SHORTEST_SECRET) {
    throw new Error(`JWT_SECRET must be at least ${SHORTEST_SECRET} bytes long.`);
  }
  const issuer = setting('JWT_ISSUER');
  const audience = setting('JWT_AUDIENCE');
  return jwt.sign({}, secret, {
    algorithm: 'HS256',
    subject: user,
    expiresIn: options.expiresIn as jwt.SignOptions['expiresIn'],
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
  });
}
