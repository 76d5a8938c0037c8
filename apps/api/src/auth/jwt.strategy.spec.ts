import { describe, expect, it } from '@jest/globals';
import { JwtStrategy } from './jwt.strategy.js';
import { SecretKey } from './token-keys.js';

describe('a caller', () => {
  const strategy = new JwtStrategy(
    { secret: undefined, development: false, jwksUri: undefined },
    new SecretKey('of no use here, and long enough'),
  );
  const scopesOf = (claims: object): string[] => {
    const caller = strategy.validate({ sub: 'ana', exp: 1, scope: undefined, scp: undefined, ...claims });
    return caller === false ? ['nobody'] : [...caller.scopes];
  };

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
});
