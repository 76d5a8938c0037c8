import { describe, expect, it } from '@jest/globals';
import { isUserId, JwtStrategy } from './jwt.strategy.js';
import { SecretKey } from './token-keys.js';

describe('a caller', () => {
  const strategy = new JwtStrategy(
    { secret: undefined, development: false, jwksUri: undefined },
    new SecretKey('of no use here, and long enough'),
  );
  const scopesOf = (claims: object): string[] => [...strategy.validate({ sub: 'ana', exp: 1, ...claims }).scopes];

  it.each([
    [{ scope: 'admin' }, ['admin']],
    [{ scope: 'openid admin' }, ['openid', 'admin']],
    [{ scope: ['openid', 'admin', 7, null] }, ['openid', 'admin']],
    [{ scp: 'openid admin' }, ['openid', 'admin']],
    [{ scp: ['admin'] }, ['admin']],
    [{ scope: 'openid', scp: ['admin'] }, ['openid']],
    [{ scope: '', scp: ['admin'] }, ['']],
    [{}, []],
    [{ scope: { admin: true } }, []],
    [{ scope: true }, []],
  ])('may what the words of scope, or of scp, say: %j', (claims, scopes) => {
    expect(scopesOf(claims)).toEqual(scopes);
  });

  it.each([
    ['x', true],
    ['x'.repeat(255), true],
    ['x'.repeat(256), false],
    ['😀'.repeat(255), true],
    ['😀'.repeat(256), false],
    ['', false],
    ['a\0b', false],
    ['\ud83d', false],
    [7, false],
  ])('is named by 1 to 255 characters, however they are stored: %j', (sub, good) => {
    expect(isUserId(sub)).toBe(good);
  });
});
