import { percentDecoded } from './percent-decoded.js';

/** The parts of REDIS_URL: where a Redis is, and how to connect. */
export interface RedisAddress {
  /** One server, a primary that Sentinels name, or a Cluster. */
  readonly kind: 'server' | 'sentinel' | 'cluster';
  /** Whether all connections are encrypted, those to Sentinels too. */
  readonly tls: boolean;
  /** The server; the Sentinels; or some of the Cluster's nodes. */
  readonly nodes: readonly [RedisNode, ...RedisNode[]];
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Which of the server's databases; a Cluster has the first one only. */
  readonly db: number;
  /** Only with Sentinels. */
  readonly sentinel?: {
    /** The Sentinels' name of the primary. */
    readonly primary: string;
    readonly username: string | undefined;
    readonly password: string | undefined;
  };
}

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

/** The forms of REDIS_URL, for its error message. */
const FORMS =
  'redis://[user:password@]host[:port][/db], redis+sentinel://[user:password@]host[:port],…/primary[/db] ' +
  'or redis+cluster://[user:password@]host[:port],…, each with rediss for TLS';

const PORT = { server: 6379, sentinel: 26_379, cluster: 6379 } as const;

/** Redis itself has no limit; a larger number is a mistake. */
const HIGHEST_DB = 65_535;

/**
 * Takes an address of Redis apart. The address of one server has the common form (IANA has registered the schemes `redis` and `rediss`
 * provisionally). For Sentinels and Clusters there is no standard; the form is that of Python's libraries, with hosts in a row.
 *
 * @throws Error with words that name REDIS_URL and never repeat any of its value, which carries a password
 */
export function parseRedisUrl(url: string): RedisAddress {
  const form = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/([^/?#]*)((?:\/[^?#]*)?)(?:\?([^#]*))?$/.exec(url);
  if (form === null) throw fault(`must look like ${FORMS}. In user and password, /, ? and # are %2F, %3F and %23`);
  const [, scheme, several, authority = '', path = '', query] = form;
  const kind = (several ?? 'server') as RedisAddress['kind'];
  const at = authority.lastIndexOf('@');
  const nodes = authority.slice(at + 1).split(',');
  if (kind === 'server' && nodes.length > 1) {
    throw fault('has several hosts, which only redis+sentinel:// and redis+cluster:// may have');
  }
  const [first = '', ...others] = nodes;
  return {
    kind,
    tls: scheme === 'rediss',
    nodes: [nodeOf(first, PORT[kind]), ...others.map((node) => nodeOf(node, PORT[kind]))],
    ...credentialsOf(at < 0 ? undefined : authority.slice(0, at)),
    ...whereOf(kind, path, parametersOf(kind, query)),
  };
}

function fault(words: string): Error {
  return new Error(`REDIS_URL ${words}.`);
}

function nodeOf(text: string, defaultPort: number): RedisNode {
  const [, v6, name, port] = /^(?:\[([\da-fA-F:.]+)\]|([^\s[\]:]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined) {
    throw fault('has an invalid host. A host is a name or an address, [in brackets] for IPv6, and may have a port');
  }
  if (port === undefined) return { host, port: defaultPort };
  if (Number(port) < 1 || Number(port) > 65_535) throw fault('has an invalid port: ports go from 1 to 65535');
  return { host, port: Number(port) };
}

function credentialsOf(text: string | undefined): Pick<RedisAddress, 'username' | 'password'> {
  if (text === undefined) return { username: undefined, password: undefined };
  const colon = text.indexOf(':');
  if (colon < 0) throw fault('has a user without a password; a password alone is written as :password@');
  // A user without a password has an empty one.
  const username = decoded(text.slice(0, colon)) || undefined;
  const password = decoded(text.slice(colon + 1));
  return { username, password: password === '' && username === undefined ? undefined : password };
}

function whereOf(
  kind: RedisAddress['kind'],
  path: string,
  parameters: ReadonlyMap<string, string>,
): Pick<RedisAddress, 'db' | 'sentinel'> {
  const parts = path.split('/').slice(1);
  if (parts.at(-1) === '') parts.pop();
  if (kind !== 'sentinel') {
    if (parts.length > 1) throw fault(`has extra text after its host: it must look like ${FORMS}`);
    const db = databaseOf(parts[0]);
    if (kind === 'cluster' && db !== 0) throw fault('names a database; a Cluster has no other than 0');
    return { db };
  }
  const [primary, db] = parts;
  if (primary === undefined || primary === '') {
    throw fault('lacks the primary’s name at the Sentinels: redis+sentinel://host:26379/mymaster');
  }
  if (parts.length > 2) throw fault(`has extra text after its hosts: it must look like ${FORMS}`);
  return {
    db: databaseOf(db),
    sentinel: {
      primary: decoded(primary),
      username: parameters.get('sentinel_username'),
      password: parameters.get('sentinel_password'),
    },
  };
}

function databaseOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d+$/.test(text) || Number(text) > HIGHEST_DB) throw fault('names a database that is not a whole number');
  return Number(text);
}

/** The Sentinels' own credentials, if they differ from Redis's. Any other parameter is unknown. */
function parametersOf(kind: RedisAddress['kind'], query: string | undefined): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const parameter of (query ?? '').split('&')) {
    if (parameter === '') continue;
    const [, name, value] = /^(sentinel_username|sentinel_password)=(.+)$/.exec(parameter) ?? [];
    if (kind !== 'sentinel' || name === undefined || value === undefined) {
      throw fault(
        'has an unknown parameter. The known ones are sentinel_username and sentinel_password, with redis+sentinel:// only',
      );
    }
    parameters.set(name, decoded(value));
  }
  return parameters;
}

function decoded(text: string): string {
  return percentDecoded(text, fault);
}
