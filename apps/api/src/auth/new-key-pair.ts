import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

const ENCODED = {
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
} as const;

/**
 * A new pair of keys, for tests. The keys are generated in encoded form, then parsed. Exporting a key object that was just generated may
 * hang for ever on Node 20: if the garbage collector runs meanwhile, the job that generated the key waits for a lock that the export holds.
 * @param options the size of an RSA key, or the curve of an EC key
 */
export function newKeyPair(
  type: 'rsa' | 'ec' | 'ed25519' | 'ed448',
  options: { readonly modulusLength?: number; readonly namedCurve?: string } = {},
): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  // Node's types have an overload for each type of key, and none for all.
  const pair: unknown = generateKeyPairSync(type as 'rsa', { ...options, ...ENCODED } as { modulusLength: number });
  const { privateKey, publicKey } = pair as { privateKey: Buffer; publicKey: Buffer };
  return {
    privateKey: createPrivateKey({ key: privateKey, type: 'pkcs8', format: 'der' }),
    publicKey: createPublicKey({ key: publicKey, type: 'spki', format: 'der' }),
  };
}
