import { developmentSecret } from '#settings/development-secret.js';
import { SHORTEST_SECRET } from '#settings/settings.js';
import { signToken as sign } from '../apps/api/src/auth/sign-token.js';

export interface TokenOptions {
  /** How long it holds: seconds, or a span such as `12h` or `30d`. */
  readonly expiresIn: string | number;
  /** What it allows beyond the user's own things, such as `admin`. */
  readonly scope?: string;
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
  const jwt = { secret, issuer: setting('JWT_ISSUER'), audience: setting('JWT_AUDIENCE') };
  return sign(user, jwt, options.expiresIn, options.scope);
}
