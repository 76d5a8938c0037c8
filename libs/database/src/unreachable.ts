import { inBrief } from '#process/described-error.js';
import { StartFault } from '#errors/start-fault.js';
import { type DatabaseAddress, parseDatabaseUrl } from '#settings/database-address.js';

/** Thrown at start when PostgreSQL cannot be reached or refuses us. The message says what to check, and never holds the password. */
export class DatabaseUnreachableError extends StartFault {
  constructor(url: string, cause: unknown) {
    super(`The database of DATABASE_URL cannot be reached: ${whyUnreachable(url, cause)}.`, { cause });
  }
}

/** The fault of a start that failed when it asked PostgreSQL. */
export function startFault(url: string, cause: unknown): StartFault {
  return cause instanceof StartFault ? cause : new DatabaseUnreachableError(url, cause);
}

type Words = (address: Place, serverSays: string) => string;
interface Place extends DatabaseAddress {
  /** Host and port, or the socket. */
  readonly where: string;
}

/** Words for codes: SQLSTATE (appendix A), the system's, or OpenSSL's. */
const BY_CODE: Readonly<Record<string, Words>> = {
  ENOTFOUND: ({ host }) => `there is no host ${host}`,
  EAI_AGAIN: ({ host }) => `the name ${host} cannot be looked up right now`,
  ECONNREFUSED: ({ where }) => `nothing listens at ${where}`,
  ENOENT: ({ where }) => `there is no socket ${where}`,
  EACCES: ({ where }) => `this program may not use ${where}`,
  EHOSTUNREACH: ({ where }) => `there is no route to ${where}`,
  ENETUNREACH: ({ where }) => `there is no route to ${where}`,
  ETIMEDOUT: ({ where }) => `${where} does not answer`,
  ECONNRESET: ({ where }) => `${where} closes connections at once, so it may not be PostgreSQL`,
  EPIPE: ({ where }) => `${where} closes connections at once, so it may not be PostgreSQL`,
  '3D000': ({ database, user }) => `the server has no database ${database ?? user ?? ''}`,
  '28P01': ({ user }) => `the password of ${user ?? 'the user'} is wrong, or there is no such user`,
  '28000': (_, serverSays) => {
    const tls = serverSays.includes('no encryption') ? '. It may need TLS: add ?sslmode=require' : '';
    return `the server does not let this user in from here, and says: ${serverSays}${tls}`;
  },
  '42501': ({ user }, serverSays) => `${user ?? 'the user'} may not use it (${serverSays})`,
  '53300': (_, serverSays) => `the server has no connection left (${serverSays})`,
  ERR_TLS_CERT_ALTNAME_INVALID: ({ host }) => `the certificate of the server is not for ${host}`,
  CERT_HAS_EXPIRED: () => 'the certificate of the server has expired',
};

/** OpenSSL's codes of a certificate without a trusted issuer. */
const UNTRUSTED = /^(SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT_UNTRUSTED)/;

/** Words for messages of pg to which it gives no code. */
const BY_WORDS: readonly (readonly [RegExp, Words])[] = [
  [/does not support SSL connections/, ({ where }) => `its sslmode asks for TLS, and ${where} speaks none`],
  [/client password must be a (non-empty )?string/, () => 'the server asks for a password, and the address has none'],
  [/timeout|fallen silent/i, ({ where }) => `${where} does not answer`],
  [
    /Connection terminated unexpectedly/,
    ({ where }) => `${where} closes connections at once, so it may not be PostgreSQL`,
  ],
];

/** Why PostgreSQL cannot be reached at this address, in words for its operator. */
export function whyUnreachable(url: string, cause: unknown): string {
  const address = parseDatabaseUrl(url);
  const { host, port } = address;
  const where = host.startsWith('/')
    ? `${host}/.s.PGSQL.${port}`
    : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const place = { ...address, where };
  const { message = '', code } = cause as { message?: string; code?: unknown };
  const known = typeof code === 'string' ? BY_CODE[code] : undefined;
  if (known !== undefined) return known(place, message);
  if (typeof code === 'string' && UNTRUSTED.test(code)) {
    return `no trusted authority signed the certificate of ${where} (${code}); name the file of the right one in sslrootcert`;
  }
  const [, words] = BY_WORDS.find(([pattern]) => pattern.test(message)) ?? [];
  return words === undefined ? inBrief(cause) : words(place, message);
}
