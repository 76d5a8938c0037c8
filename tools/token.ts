import { parseArgs } from 'node:util';
import { loadEnvFile } from '#settings/settings.js';
import { signToken } from './sign-token.js';

const USAGE = `Prints a token for a user, and nothing else.

  npm run --silent token -- <user> [--expires <span>] [--scope <scope>]
  node dist/bin/token.js <user> …            the same, built: in the image

  --expires   how long it is valid: 15m, 12h, 30d … (default 24h)
  --scope     rights beyond the user's own data: admin

Signed with JWT_SECRET, or with the development secret under DATA_DIR; JWT_ISSUER, JWT_AUDIENCE and the first
of JWT_CLIENT_IDS are put in when set. With JWT_JWKS_URI tokens come from the identity provider.`;

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      expires: { type: 'string', default: '24h' },
      scope: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const [user, ...rest] = positionals;
  if (!user || rest.length > 0) throw new Error(USAGE);
  // The library would take a bare number for milliseconds, which nobody means.
  if (!/^\d+(s|m|h|d|w)$/.test(values.expires)) throw new Error(`--expires ${values.expires}: write 15m, 12h or 30d.`);
  loadEnvFile();
  console.log(signToken(user, process.env, { expiresIn: values.expires, scope: values.scope }));
}

try {
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
