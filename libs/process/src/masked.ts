import type { Settings } from '#settings/settings.js';

/** Replaces a secret. */
const MASK = '***';

/** A JSON Web Token (RFC 7519), signed: three parts, of which the first begins with `{"`. */
const TOKEN = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g;

/** A shorter secret may be an ordinary word, and is not masked. */
const SHORTEST_SECRET = 6;

/** The log's last line of defence: replaces tokens, and the secrets of the settings, in a line. */
export function masked(settings: Settings): (line: string) => string {
  const { jwt, model, database, redisUrl } = settings;
  const addresses = [database.url, redisUrl, model.proxy?.url, model.credentialsProxy?.proxy.url];
  const bearerToken = model.provider?.name === 'bedrock' ? model.provider.bearerToken : undefined;
  const secrets = [jwt.secret, model.apiKey, bearerToken, ...addresses.flatMap(passwordOf)]
    .filter((secret) => secret !== undefined && secret.length >= SHORTEST_SECRET)
    // The secret as JSON writes it.
    .map((secret) => JSON.stringify(secret).slice(1, -1));
  return (line) => {
    let safe = line.includes('eyJ') ? line.replace(TOKEN, MASK) : line;
    for (const secret of secrets) if (safe.includes(secret)) safe = safe.replaceAll(secret, MASK);
    return safe;
  };
}

/** Passwords of an address, encoded and decoded. `URL` cannot parse all addresses: PostgreSQL's may lack a host, and Redis's may have several. */
function passwordOf(url = ''): string[] {
  const [, entered] = /^[a-z+]+:\/\/[^/?#:]*:([^/?#]*)@/i.exec(url) ?? [];
  const parameters = [...url.matchAll(/[?&](?:sentinel_)?password=([^&]*)/g)].map(([, password]) => password);
  return [entered, ...parameters].filter((password) => password !== undefined).flatMap(readings);
}

function readings(password: string): string[] {
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
