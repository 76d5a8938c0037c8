import { readTokenClaims, readTokenKeys } from '#settings/token-settings.js';
import { signToken as sign } from '../apps/api/src/auth/sign-token.js';

export interface TokenOptions {
  /** How long it holds: seconds, or a span such as `12h` or `30d`. */
  readonly expiresIn: string | number;
  /** What it allows beyond the user's own things, such as `admin`. */
  readonly scope?: string;
}

/**
 * A token for `user` that a service with this environment accepts: signed with `JWT_SECRET` (or the development secret
 * under `DATA_DIR`), for `JWT_ISSUER`, `JWT_AUDIENCE` and the first of `JWT_CLIENT_IDS` where they are set.
 *
 * @throws Error when the environment has no secret that the service would take, or has the keys of an identity provider, or
 * when the span means nothing
 */
export function signToken(user: string, env: NodeJS.ProcessEnv, options: TokenOptions): string {
  const setting = (name: string): string | undefined => env[name]?.trim() || undefined;
  const faults: string[] = [];
  const keys = readTokenKeys(setting('NODE_ENV') === 'production', setting, faults);
  const claims = readTokenClaims(setting, faults);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return sign(user, { ...keys, ...claims }, options.expiresIn, options.scope);
}
