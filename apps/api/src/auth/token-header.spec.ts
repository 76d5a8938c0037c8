import { describe, expect, it } from '@jest/globals';
import { readHeader } from './token-header.js';

const token = (header: string): string => `${Buffer.from(header).toString('base64url')}.e30.AAAA`;

describe('the header of a token', () => {
  it('says which algorithm and which key, and nothing else of it is read', () => {
    expect(readHeader(token('{"alg":"ES256","kid":"1","jku":"https://evil.example","jwk":{}}'))).toEqual({
      alg: 'ES256',
      kid: '1',
    });
    expect(readHeader(token('{"alg":"HS256","typ":"JWT"}'))).toEqual({ alg: 'HS256', kid: undefined });
  });

  it.each([
    ['', 'nothing'],
    ['null', 'null'],
    ['[]', 'a list'],
    ['"HS256"', 'a text'],
    ['{"alg":', 'no JSON'],
    ['{}', 'no alg'],
    ['{"alg":["HS256"]}', 'a list of algs'],
    ['{"alg":"HS256","kid":7}', 'a kid that is a number'],
    ['{"alg":"HS256","kid":null}', 'a kid of null'],
    ['{"alg":"HS256","crit":["exp"]}', 'extensions that must be understood'],
    ['{"alg":"HS256","crit":[]}', 'an empty list of them'],
  ])('is refused as %s (%s)', (header) => {
    expect(readHeader(token(header))).toBeUndefined();
  });

  it('is looked for in anything', () => {
    for (const text of ['', '.', 'a', '..', 'a.b.c', '\u0000.x', 'ü.x.y']) expect(readHeader(text)).toBeUndefined();
  });
});
