import { describe, expect, it } from '@jest/globals';
import { KeySet, NoUsableKey } from './key-set.js';
import { newKeyPair } from './new-key-pair.js';

const rsaOf = (bits: number): Record<string, unknown> => ({
  ...newKeyPair('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' }),
});
const ecOf = (namedCurve: string): Record<string, unknown> => ({
  ...newKeyPair('ec', { namedCurve }).publicKey.export({ format: 'jwk' }),
});

describe('a set of keys', () => {
  const rsa = rsaOf(2048);
  const ec = ecOf('P-256');
  const setOf = (...keys: unknown[]): KeySet => new KeySet(JSON.stringify({ keys }));
  const refusal = (text: string): string => {
    try {
      new KeySet(text);
      return 'accepted';
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('gives each key for the one algorithm of its type, and only under its id', () => {
    const set = setOf({ ...rsa, kid: 'r' }, { ...ec, kid: 'e', alg: 'ES256', use: 'sig', key_ops: ['verify'] });
    expect(set.find({ alg: 'RS256', kid: 'r' })?.asymmetricKeyType).toBe('rsa');
    expect(set.find({ alg: 'ES256', kid: 'e' })?.asymmetricKeyType).toBe('ec');
    expect(set.find({ alg: 'RS256', kid: 'r' })).toBe(set.find({ alg: 'RS256', kid: 'r' })); // made once
    for (const [alg, kid] of [
      ['ES256', 'r'],
      ['RS256', 'e'],
      ['HS256', 'r'],
      ['PS256', 'r'],
      ['RS256', 'R'],
      ['RS256', ''],
    ] as const) {
      expect(set.find({ alg, kid })).toBeUndefined();
    }
  });

  it('has a key of each type for what it verifies: by its alg, or for the one algorithm of its type', () => {
    const ed: object = newKeyPair('ed25519').publicKey.export({ format: 'jwk' });
    const set = setOf(
      { ...ecOf('P-384'), kid: '384' },
      { ...ecOf('P-521'), kid: '521', alg: 'ES512' },
      { ...ed, kid: 'ed' },
      { ...rsa, kid: 'pss', alg: 'PS256' },
      { ...rsa, kid: 'rsa' },
    );
    expect(set.ids).toBe('"384" (ES384), "521" (ES512), "ed" (EdDSA), "pss" (PS256), "rsa" (RS256)');
    for (const [alg, kid] of [
      ['ES384', '384'],
      ['ES512', '521'],
      ['EdDSA', 'ed'],
      ['Ed25519', 'ed'],
      ['PS256', 'pss'],
      ['RS256', 'rsa'],
    ] as const) {
      expect([alg, set.find({ alg, kid })]).not.toContain(undefined);
    }
    for (const [alg, kid] of [
      ['ES256', '384'],
      ['RS256', 'pss'],
      ['PS384', 'pss'],
      ['PS256', 'rsa'],
      ['RS512', 'rsa'],
      ['ES256', 'ed'],
    ] as const) {
      expect([alg, set.find({ alg, kid })]).toEqual([alg, undefined]);
    }
  });

  it('gives a token without an id the only key of its algorithm, and of two that are called the same neither', () => {
    expect(setOf({ ...rsa, kid: 'r' }, { ...ec, kid: 'e' }).find({ alg: 'ES256', kid: undefined })).toBeDefined();
    expect(setOf(ec).find({ alg: 'ES256', kid: undefined })).toBeDefined();
    expect(setOf(ec).find({ alg: 'ES256', kid: 'e' })).toBeUndefined();
    const two = setOf({ ...ec, kid: 'e' }, { ...ecOf('P-256'), kid: 'e' });
    expect(two.find({ alg: 'ES256', kid: undefined })).toBeUndefined();
    expect(two.find({ alg: 'ES256', kid: 'e' })).toBeUndefined();
  });

  it.each([
    ['a key for encryption', { ...rsa, use: 'enc' }],
    ['a key for other operations', { ...rsa, key_ops: ['encrypt'] }],
    ['operations that are no list', { ...rsa, key_ops: 'verify' }],
    ['a key for another algorithm', { ...rsa, alg: 'RSA-OAEP' }],
    ['a key for the algorithm of another type', { ...rsa, alg: 'HS256' }],
    ['a secret', { kty: 'oct', k: 'c2VjcmV0' }],
    ['a secret that calls itself an RSA key', { kty: 'RSA', k: 'c2VjcmV0' }],
    ['another curve', ecOf('secp256k1')],
    ['another type', newKeyPair('ed448').publicKey.export({ format: 'jwk' })],
    ['a broken key', { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }],
    ['null', null],
    ['a list', []],
  ])('leaves out %s, and keeps the rest', (_, key) => {
    const set = setOf(key, { ...ec, kid: 'good' });
    expect(set.ids).toBe('"good" (ES256)');
    expect(() => setOf(key)).toThrow(NoUsableKey);
  });

  it('says of a key that is meant for tokens why it is not used', () => {
    const { privateKey } = newKeyPair('ec', { namedCurve: 'P-256' });
    const set = setOf(
      { ...rsaOf(1024), kid: 'weak' },
      { ...privateKey.export({ format: 'jwk' }), kid: 'open' },
      { ...newKeyPair('ed448').publicKey.export({ format: 'jwk' }), kid: '448' },
      { ...rsa, kid: 'oaep', alg: 'RSA-OAEP' },
      { ...rsa, kid: 'enc', use: 'enc' },
      { kty: 'oct', kid: 'oct', k: 'c2VjcmV0' },
      { ...ec, kid: 'good' },
    );
    expect(set.ids).toBe('"good" (ES256)');
    expect(set.refused).toEqual([
      '"weak": it has 1024 bits, fewer than 2048',
      '"open": its private half is published with it',
      '"448": its type ("OKP" "Ed448") is not supported',
      '"oaep": its alg is "RSA-OAEP"',
      '"oct": its type ("oct") is not supported',
    ]);
  });

  it.each(['', 'null', '7', '[]', '{}', '{"keys":{}}', '{"keys":[]}', '<html>', '{"keys":['])(
    'is not made of %j',
    (text) => {
      expect(refusal(text)).not.toBe('accepted');
    },
  );
});
