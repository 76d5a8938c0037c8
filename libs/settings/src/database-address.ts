import { accessSync, constants } from 'node:fs';
import { percentDecoded } from './percent-decoded.js';

/** The parts of DATABASE_URL without the password: where PostgreSQL is, and the user. */
export interface DatabaseAddress {
  /** A name, an address, or the directory of a socket. */
  readonly host: string;
  readonly port: number;
  /** Undefined: the name of the account that the program runs as. */
  readonly user: string | undefined;
  /** Undefined: named like the user. */
  readonly database: string | undefined;
}

const FORM = 'postgres://user:password@host:5432/database';

const DEFAULT_PORT = 5432;

/** Values of `sslmode`. The last is pg's own: TLS without a check of the certificate. */
const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/** Parameters that name files. */
const FILES = ['sslrootcert', 'sslcert', 'sslkey'];

/**
 * Takes an address of PostgreSQL apart, as pg does when it connects. The parts serve only to check the address and to name it: pg gets the
 * whole address.
 *
 * @throws Error with words that name DATABASE_URL and never repeat any of its value, which carries a password
 */
export function parseDatabaseUrl(url: string): DatabaseAddress {
  if (/\s/.test(url)) throw fault('has white space in it; write a space in a password as %20');
  const form = /^postgres(?:ql)?:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(url);
  if (form === null) throw fault(`must look like ${FORM}. In user and password, /, ? and # are %2F, %3F and %23`);
  const [, authority = '', path = '', query = ''] = form;
  const at = authority.lastIndexOf('@');
  const [user = ''] = at < 0 ? [] : authority.slice(0, at).split(':').map(decoded);
  const parameters = new Map(query.split('&').map((one) => parameterOf(one)));
  checkTls(parameters);
  const { host, port } = placeOf(authority.slice(at + 1));
  return {
    host: parameters.get('host') || host || 'localhost',
    port: Number(parameters.get('port')) || port,
    user: parameters.get('user') || user || undefined,
    database: decoded(path) || undefined,
  };
}

/**
 * Writes `verify-full` in place of the modes that pg treats like it. For those modes pg prints several lines of plain text: a later version
 * may treat them differently. With `verify-full` it prints nothing.
 */
export function withPlainTls(url: string): string {
  return url.includes('uselibpqcompat=true')
    ? url
    : url.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/, '$1verify-full');
}

function fault(words: string): Error {
  return new Error(`DATABASE_URL ${words}.`);
}

function placeOf(text: string): { host: string; port: number } {
  if (text.includes(',')) throw fault('has several hosts; it can have one');
  const [, v6, name, port] = /^(?:\[([\da-fA-F:.]+)\]|([^[\]:]*))(?::(\d*))?$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || (host === '' && port !== undefined)) {
    throw fault(
      `has an invalid host or port: it must look like ${FORM}. In user and password, @ and : are %40 and %3A`,
    );
  }
  if (port === undefined || port === '') return { host: decoded(host), port: DEFAULT_PORT };
  if (Number(port) < 1 || Number(port) > 65_535) throw fault('has an invalid port: ports go from 1 to 65535');
  return { host: decoded(host), port: Number(port) };
}

function parameterOf(text: string): [name: string, value: string] {
  const equals = text.indexOf('=');
  return equals < 0 ? [decoded(text), ''] : [decoded(text.slice(0, equals)), decoded(text.slice(equals + 1))];
}

function checkTls(parameters: ReadonlyMap<string, string>): void {
  const mode = parameters.get('sslmode');
  if (mode !== undefined && !SSL_MODES.includes(mode)) {
    throw fault(`has an unknown sslmode: it must be one of ${SSL_MODES.join(', ')}`);
  }
  for (const name of FILES) {
    const file = parameters.get(name);
    if (file !== undefined && !isReadable(file)) throw fault(`names a file in ${name} that cannot be read`);
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function decoded(text: string): string {
  return percentDecoded(text, fault);
}
