import { describe, expect, it } from '@jest/globals';
import { DatabaseUnreachableError, whyUnreachable } from './unreachable.js';

const URL = 'postgres://me:hush@db.internal:6000/chats';

const failed = (message: string, code?: string): Error => Object.assign(new Error(message), { code });

const CAUSES: readonly (readonly [Error, string | RegExp])[] = [
  [failed('getaddrinfo ENOTFOUND db.internal', 'ENOTFOUND'), 'there is no host db.internal'],
  [failed('getaddrinfo EAI_AGAIN db.internal', 'EAI_AGAIN'), 'the name db.internal cannot be looked up right now'],
  // Node tries all addresses of a name, and gathers their errors.
  [Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }), 'nothing listens at db.internal:6000'],
  [failed('PostgreSQL has fallen silent', 'ETIMEDOUT'), 'db.internal:6000 does not answer'],
  [failed('timeout expired'), 'db.internal:6000 does not answer'],
  [failed('Connection terminated due to connection timeout'), 'db.internal:6000 does not answer'],
  [
    failed('no pg_hba.conf entry for host "10.0.0.1", user "me", database "chats", no encryption', '28000'),
    /^the server does not let this user in from here, and says: no pg_hba.*\. It may need TLS: add \?sslmode=require$/,
  ],
  [failed('permission denied for database "chats"', '42501'), /^me may not use it \(permission denied/],
  [failed('sorry, too many clients already', '53300'), /^the server has no connection left/],
  [failed('certificate has expired', 'CERT_HAS_EXPIRED'), 'the certificate of the server has expired'],
  [failed('altnames', 'ERR_TLS_CERT_ALTNAME_INVALID'), 'the certificate of the server is not for db.internal'],
  [
    Object.assign(failed('the database system is starting up', '57P03'), { severity: 'FATAL' }),
    'the database system is starting up',
  ],
  [failed('x', 'E_NEW'), 'Error E_NEW'],
];

describe('why PostgreSQL cannot be reached', () => {
  it.each(CAUSES.map((one) => [String(one[1]), ...one] as const))('%s', (_, cause, words) => {
    const reason = whyUnreachable(URL, cause);
    if (typeof words === 'string') expect(reason).toBe(words);
    else expect(reason).toMatch(words);
    expect(new DatabaseUnreachableError(URL, cause).message).toMatch(/^The database of DATABASE_URL (?!.*hush)/);
  });
});
