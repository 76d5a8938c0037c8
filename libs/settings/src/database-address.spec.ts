import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { parseDatabaseUrl, withPlainTls } from './database-address.js';

describe('DATABASE_URL', () => {
  it.each([
    ['postgres://u:p@host:5433/db', { host: 'host', port: 5433, user: 'u', database: 'db' }],
    ['postgresql://u@host/db', { host: 'host', port: 5432, user: 'u', database: 'db' }],
    ['postgres://u:p@[::1]/db', { host: '::1', port: 5432, user: 'u', database: 'db' }],
    ['postgres://u:p@ss:w@host/db', { host: 'host', port: 5432, user: 'u', database: 'db' }],
    ['postgres://%C3%A9:%25@host/d%20b?sslmode=verify-full', { host: 'host', port: 5432, user: 'é', database: 'd b' }],
    // As Google's Cloud SQL writes it.
    ['postgres://u:p@/db?host=/cloudsql/a:b:c', { host: '/cloudsql/a:b:c', port: 5432, user: 'u', database: 'db' }],
    ['postgres://u:p@%2Fsocket/db', { host: '/socket', port: 5432, user: 'u', database: 'db' }],
  ])('%s is taken apart as pg does', (url, address) => {
    expect(parseDatabaseUrl(url)).toEqual(address);
    const { host, port, user, database } = new pg.Client({ connectionString: url });
    expect({ host, port, user, database }).toEqual(address);
  });

  it.each([
    ['mysql://u:hush@host/db', 'must look like postgres://'],
    ['host=h dbname=db password=hush', 'has white space'],
    ['postgres://u:hu sh@host/db', 'has white space'],
    ['postgres://u:hush%@host/db', '% that begins no percent-encoding'],
    ['postgres://u:hush%ff@host/db', '% that begins no percent-encoding'],
    ['postgres://u:hush#1@host/db', '# are %2F, %3F and %23'],
    ['postgres://u:hush/1@host/db', 'an invalid host or port'],
    ['postgres://u:hush@host:port/db', 'an invalid host or port'],
    ['postgres://u:hush@host:0/db', 'an invalid port'],
    ['postgres://u:hush@:5432/db', 'an invalid host or port'],
    ['postgres://u:hush@one,two/db', 'several hosts'],
    ['postgres://u:hush@host/db?sslmode=on', 'an unknown sslmode'],
    ['postgres://u:hush@host/db?sslmode=verify-full&sslrootcert=/no/such.pem', 'sslrootcert that cannot be read'],
  ])('%s is refused: what is wrong is said, and nothing of it repeated', (url, words) => {
    expect(() => parseDatabaseUrl(url)).toThrow(words);
    expect(() => parseDatabaseUrl(url)).toThrow(/^DATABASE_URL (?!.*hu ?sh)/);
  });

  it.each([
    ['postgres://u:p@h/db?sslmode=require', 'postgres://u:p@h/db?sslmode=verify-full'],
    ['postgres://u:p@h/db?a=b&sslmode=prefer&c=d', 'postgres://u:p@h/db?a=b&sslmode=verify-full&c=d'],
    [
      'postgres://u:p@h/db?sslmode=require&uselibpqcompat=true',
      'postgres://u:p@h/db?sslmode=require&uselibpqcompat=true',
    ],
    ['postgres://u:p@h/db?sslmode=no-verify', 'postgres://u:p@h/db?sslmode=no-verify'],
    ['postgres://u:p@h/db', 'postgres://u:p@h/db'],
  ])('%s has the TLS that pg makes of it, written out', (url, plain) => {
    expect(withPlainTls(url)).toBe(plain);
  });
});
