import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { TokenHeader } from './token-header.js';

/** What providers sign with. A key is made for the one that fits its type: none can serve for another. */
export const ALGORITHMS = ['RS256', 'ES256'] as const;

/** RFC 7518, section 3.3. */
const FEWEST_RSA_BITS = 2048;

/** The keys of a JWK set (RFC 7517) that verify tokens, made once. */
export class KeySet {
  private readonly keys: { readonly alg: string; readonly kid: string | undefined; readonly key: KeyObject }[] = [];
  /** What was not taken though it is meant for verifying, and why: in words for an operator. */
  readonly refused: string[] = [];

  /** @throws Error when there is no key in it that verifies */
  constructor(text: string) {
    const keys = (JSON.parse(text) as { keys?: unknown } | null)?.keys;
    if (!Array.isArray(keys)) throw new Error('what came is no JWK set');
    for (const jwk of keys as (JsonWebKey | null)[]) {
      const alg = typeof jwk === 'object' && jwk !== null ? algorithmOf(jwk) : undefined;
      if (alg !== undefined) this.add(alg, jwk as JsonWebKey);
    }
    if (this.keys.length === 0) throw new Error(['no key that verifies is in it', ...this.refused].join('; '));
  }

  /** The ids of the keys, for the log. */
  get ids(): string {
    return this.keys.map(({ alg, kid }) => `${JSON.stringify(kid) ?? 'no kid'} (${alg})`).join(', ');
  }

  /** The key with the token's `kid`. A token without one may mean only the one key there is for its algorithm. */
  find({ alg, kid }: TokenHeader): KeyObject | undefined {
    const keys = this.keys.filter((key) => key.alg === alg && (kid === undefined || key.kid === kid));
    return keys.length === 1 ? keys[0]?.key : undefined;
  }

  private add(alg: string, jwk: JsonWebKey): void {
    const kid = typeof jwk['kid'] === 'string' ? jwk['kid'] : undefined;
    try {
      this.keys.push({ alg, kid, key: publicKey(jwk) });
    } catch (error) {
      this.refused.push(`${JSON.stringify(kid) ?? 'no kid'}: ${(error as Error).message}`);
    }
  }
}

/** What a key verifies, by its type and what it is said to be for (RFC 7517, section 4); undefined: nothing of ours. */
function algorithmOf({ kty, crv, use, key_ops: operations, alg }: JsonWebKey): string | undefined {
  if (use !== undefined && use !== 'sig') return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined;
  const fitting = kty === 'RSA' ? 'RS256' : kty === 'EC' && crv === 'P-256' ? 'ES256' : undefined;
  return alg === undefined || alg === fitting ? fitting : undefined;
}

/** @throws Error when it is broken, weak, or no secret any more */
function publicKey(jwk: JsonWebKey): KeyObject {
  if ('d' in jwk) throw new Error('its private half is published with it');
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const { modulusLength } = key.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && modulusLength < FEWEST_RSA_BITS) {
    throw new Error(`it has ${modulusLength} bits, fewer than ${FEWEST_RSA_BITS}`);
  }
  return key;
}
