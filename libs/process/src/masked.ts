import type { Settings } from '#settings/settings.js';

/** What stands where a secret would. */
const MASK = '***';

/** A JSON Web Token (RFC 7519), signed: three parts, of which the first begins with `{"`. */
const TOKEN = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g;

/** Shorter secrets are words that occur anywhere. */
const SHORTEST_SECRET = 6;

/** The log's last line of defence: replaces tokens, and the secrets of the settings, in a line. */
export function masked(settings: Settings): (line: string) => string {
  const { jwt, model, database, redisUrl } = settings;
  const passwords = [database.url, redisUrl, model.proxy?.url].flatMap(passwordOf);
  const secrets = [jwt.secret, model.apiKey, ...passwords]
    .filter((secret) => secret !== undefined && secret.length >= SHORTEST_SECRET)
    // As it is written in JSON.
    .map((secret) => JSON.stringify(secret).slice(1, -1));
  return (line) => {
    let safe = line.includes('eyJ') ? line.replace(TOKEN, MASK) : line;
    for (const secret of secrets) if (safe.includes(secret)) safe = safe.replaceAll(secret, MASK);
    return safe;
  };
}

/** The password of an address, encoded and decoded. */
function passwordOf(url: string | undefined): string[] {
  if (url === undefined || !URL.canParse(url)) return [];
  const { password } = new URL(url);
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
