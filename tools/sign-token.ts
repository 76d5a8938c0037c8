import { readTokenClaims, readTokenKeys } from '#settings/token-settings.js';
import { signToken as sign } from '../apps/api/src/auth/sign-token.js';

export interface TokenOptions {
  /** How long the token is valid: seconds, or a span such as `12h` or `30d`. */
  readonly expiresIn: string | number;
  /** Rights besides the user's own data, such as `admin`. */
  readonly scope?: string;
}

/**
 * A token for `user` that a service with this environment accepts. `JWT_SECRET` signs it (or the development secret under `DATA_DIR`), for
 * `JWT_ISSUER`, `JWT_AUDIENCE` and the first of `JWT_CLIENT_IDS`, if set.
 *
 * @throws Error when the environment has no secret that the service would accept, or has the keys of an identity provider, or when the span
 * is invalid
 */
export function signToken(user: string, env: NodeJS.ProcessEnv, options: TokenOptions): string {
  const setting = (name: string): string | undefined => env[name]?.trim() || undefined;
  const faults: string[] = [];
  const keys = readTokenKeys(setting('NODE_ENV') === 'production', setting, faults);
  const claims = readTokenClaims(setting, faults);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return sign(user, { ...keys, ...claims }, options.expiresIn, options.scope);
}
