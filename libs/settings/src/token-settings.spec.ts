import { describe, expect, it } from '@jest/globals';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readTokenClaims, readTokenKeys, type TokenKeySettings } from './token-settings.js';

const GOOD = 'Zx0o1cT5mVb8Qe7Lr2Wf9Kd4Hs6Ny3Ua';
const URI = 'https://id.example/.well-known/jwks.json';

function read(env: Record<string, string>, production = true): { keys: TokenKeySettings; faults: string[] } {
  const faults: string[] = [];
  const keys = readTokenKeys(production, (name) => env[name], faults);
  return { keys, faults };
}

describe('what tokens are verified with', () => {
  it('is a secret or an identity provider’s address, in production one that was set', () => {
    expect(read({ JWT_SECRET: GOOD })).toEqual({
      keys: { secret: GOOD, development: false, jwksUri: undefined },
      faults: [],
    });
    for (const production of [true, false]) {
      expect(read({ JWT_JWKS_URI: URI }, production)).toEqual({
        keys: { secret: undefined, development: false, jwksUri: URI },
        faults: [],
      });
    }
    expect(read({}).faults).toEqual([expect.stringMatching(/JWT_SECRET.*JWT_JWKS_URI.*not set/)]);
  });

  it('is never both', () => {
    expect(read({ JWT_SECRET: GOOD, JWT_JWKS_URI: URI }, false).faults).toEqual([
      expect.stringMatching(/JWT_SECRET and JWT_JWKS_URI are both set/),
    ]);
  });

  it.each([
    ['a short one', 'Zx0o1cT5mVb8Qe7Lr2Wf9Kd4Hs6Ny3U'],
    ['one character', 'x'.repeat(64)],
    ['two', 'xy'.repeat(32)],
    ['few', 'aabbccdd'.repeat(3) + 'abcdabcdab'],
    ['a piece again and again', 'correcthorse'.repeat(3)],
    ['a piece twice', 'Zx0o1cT5mVb8Qe7L'.repeat(2)],
    ['the alphabet', 'abcdefghijklmnopqrstuvwxyz0123456789'],
    ['counting backwards', 'zyxwvutsrqponmlkjihgfedcba9876543210'],
    ['digits in order', '0123456789'.repeat(4)],
    ['a placeholder', 'please-change-me-before-going-live-1'],
    ['a placeholder in capitals', 'CHANGE_THIS_TO_A_LONG_RANDOM_VALUE'],
    ['one to be replaced', 'replace-with-openssl-rand-base64-48'],
    ['an example', 'your-256-bit-secret-your-256-bits!'],
    ['an example with words', 'your super long jwt signing key 42!'],
    ['where it goes', 'put-the-secret-here-and-keep-it-safe'],
    ['a password and digits, twice', 'Password1234567890Password1234567890!'],
    ['a password in disguise', 'P@$$w0rd-P4ssw0rd-p@ssword-PASSWORD!'],
    ['words that secrets are made of', 'ThisIsMySuperSecretKeyForJwtTokens12345'],
    ['a name with such words', 'AcmeCorpProductionJwtSecret2024!!!!'],
    ['seasons and years', 'Summer2024!Winter2025!Spring2026!Autumn'],
    ['rows of the keyboard', 'qwertyuiop-asdfghjkl-zxcvbnm-1234567890'],
    ['rows of other keyboards, backwards', 'poiuztrewq_poiuytreza_0987654321_lkjhg'],
    ['every second one', 'acegikmoqsuwybdfhjlnprtvxz2468013579'],
    ['two pieces in turn', 'kT9vQ2kT9vQ2xW4bkT9vQ2xW4bkT9vQ2xW4b'],
    ['that of jwt.io', 'a-string-secret-at-least-256-bits-long'],
  ])('is no secret that can be guessed: %s', (_, secret) => {
    const { faults } = read({ JWT_SECRET: secret });
    expect(faults).toEqual([expect.stringMatching(/^JWT_SECRET (must be at least 32 bytes|can be guessed)/)]);
    expect(faults.join()).not.toContain(secret);
  });

  it('may be any secret that was made at random, and a long sentence', () => {
    for (let n = 0; n < 500; n++) {
      for (const secret of [
        randomBytes(16).toString('hex'),
        randomBytes(24).toString('base64'),
        randomUUID(),
        randomBytes(48).toString('base64url'),
        Array.from(randomBytes(40), (byte) => byte % 10).join(''),
      ]) {
        expect([secret, read({ JWT_SECRET: secret }).faults]).toEqual([secret, []]);
      }
    }
    for (const sentence of ['seven green otters play bridge at noon', 'Der Zug nach Köln fährt heute um 7:42!']) {
      expect([sentence, read({ JWT_SECRET: sentence }).faults]).toEqual([sentence, []]);
    }
  });

  it('may be a poor secret outside production, but not a short one', () => {
    expect(read({ JWT_SECRET: 'x'.repeat(32) }, false).faults).toEqual([]);
    expect(read({ JWT_SECRET: 'x'.repeat(31) }, false).faults).toHaveLength(1);
  });

  it('is no secret that stands in our own files', () => {
    const files = ['README.md', '.env.example', 'docker-compose.yml', 'docs/operations/tokens.md'];
    for (const file of files) {
      for (const [, value = ''] of readFileSync(file, 'utf8').matchAll(/JWT_SECRET[=:][ '"]*([^\s'"]+)/g)) {
        // `$…` is left out: the shell or Compose fills it in.
        if (!value.startsWith('$'))
          expect([file, value, read({ JWT_SECRET: value }).faults.length]).toEqual([file, value, 1]);
      }
    }
  });

  it.each(['http://id.example/keys', 'http://10.0.0.1/keys', 'http://127.0.0.1.evil.example/keys'])(
    'is not fetched over http from another machine in production: %s',
    (uri) => {
      expect(read({ JWT_JWKS_URI: uri }).faults).toEqual([expect.stringMatching(/JWT_JWKS_URI must.*https/)]);
      expect(read({ JWT_JWKS_URI: uri }, false).faults).toEqual([]);
    },
  );

  it.each(['http://localhost:8080/keys', 'http://127.0.0.1:8080/keys', 'http://[::1]:8080/keys'])(
    'may be fetched over http from this one: %s',
    (uri) => {
      expect(read({ JWT_JWKS_URI: uri }).faults).toEqual([]);
    },
  );

  it.each(['keys', 'ftp://id.example/keys', 'file:///etc/keys', 'https://me:hunter2@id.example/keys'])(
    'is fetched from no such address: %s',
    (uri) => {
      const { faults } = read({ JWT_JWKS_URI: uri }, false);
      expect(faults).toEqual([expect.stringContaining('JWT_JWKS_URI must')]);
      expect(faults.join()).not.toContain('hunter2');
    },
  );
});

describe('what tokens must say', () => {
  const claims = (env: Record<string, string>): unknown => {
    const faults: string[] = [];
    const read = readTokenClaims((name) => env[name], faults);
    return faults.length > 0 ? faults : read;
  };

  it('is nothing, or what is set; clients are a list', () => {
    expect(claims({})).toEqual({});
    expect(claims({ JWT_ISSUER: 'i', JWT_AUDIENCE: 'a', JWT_CLIENT_IDS: 'web, ios' })).toEqual({
      issuer: 'i',
      audience: 'a',
      clientIds: ['web', 'ios'],
    });
  });

  it.each([',', 'web,', 'web,,ios'])('is no list of clients with a hole in it: %j', (list) => {
    expect(claims({ JWT_CLIENT_IDS: list })).toEqual([expect.stringContaining('JWT_CLIENT_IDS')]);
  });
});
