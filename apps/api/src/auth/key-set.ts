import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { type Algorithm, algorithmsOf } from './algorithms.js';
import type { TokenHeader } from './token-header.js';

/** RFC 7518, section 3.3. */
const FEWEST_RSA_BITS = 2048;

/** Longest part of a `kid` that a message repeats, in characters. */
const LONGEST_NAME = 100;

/** The set has keys, but none can be used. The message gives the reasons. */
export class NoUsableKey extends Error {}

interface UsableKey {
  readonly algorithms: readonly Algorithm[];
  readonly kid: string | undefined;
  readonly key: KeyObject;
}

/** The keys of a JWK set (RFC 7517) that verify tokens, made once. */
export class KeySet {
  private readonly keys: UsableKey[] = [];
  /** Messages for operators about keys that may be meant for tokens and cannot be used. */
  readonly refused: string[] = [];

  /** @throws NoUsableKey when there are keys and none verifies; Error when `text` is no set of keys */
  constructor(text: string) {
    const keys = (JSON.parse(text) as { keys?: unknown } | null)?.keys;
    if (!Array.isArray(keys)) throw new Error('the answer is not a JWK set');
    const others: string[] = [];
    for (const jwk of keys as (JsonWebKey | null)[]) {
      const name = nameOf(jwk?.['kid']);
      if (jwk === null || typeof jwk !== 'object') others.push('an entry that is not a key');
      else if (isForOtherUse(jwk)) others.push(`${name}: it is for another use`);
      else this.add(jwk, name);
    }
    if (this.keys.length > 0) return;
    if (keys.length === 0) throw new NoUsableKey('the set is empty');
    throw new NoUsableKey([...this.refused, ...others].join('; '));
  }

  /** The ids of the keys, for the log. */
  get ids(): string {
    return this.keys.map(({ algorithms, kid }) => `${nameOf(kid)} (${algorithms[0]})`).join(', ');
  }

  /** The key with the token's `kid`. A token without `kid` finds a key only if its algorithm has exactly one. */
  find({ alg, kid }: TokenHeader): KeyObject | undefined {
    const fits = (key: UsableKey): boolean => key.algorithms.some((name) => name === alg);
    const keys = this.keys.filter((key) => fits(key) && (kid === undefined || key.kid === kid));
    return keys.length === 1 ? keys[0]?.key : undefined;
  }

  private add(jwk: JsonWebKey, name: string): void {
    try {
      const kid = typeof jwk['kid'] === 'string' ? jwk['kid'] : undefined;
      this.keys.push({ algorithms: algorithmsOf(jwk), kid, key: publicKey(jwk) });
    } catch (error) {
      this.refused.push(`${name}: ${(error as Error).message}`);
    }
  }
}

function nameOf(kid: unknown): string {
  return typeof kid === 'string' ? JSON.stringify(kid.slice(0, LONGEST_NAME)) : 'no kid';
}

/** Whether a key declares a purpose other than verifying (RFC 7517, section 4). Key sets hold such keys as well. */
function isForOtherUse({ use, key_ops: operations }: JsonWebKey): boolean {
  if (use !== undefined && use !== 'sig') return true;
  return operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'));
}

/** @throws Error when the key is broken or weak, or its private part is public */
function publicKey(jwk: JsonWebKey): KeyObject {
  if ('d' in jwk) throw new Error('its private half is published with it');
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const { modulusLength } = key.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && modulusLength < FEWEST_RSA_BITS) {
    throw new Error(`it has ${modulusLength} bits, fewer than ${FEWEST_RSA_BITS}`);
  }
  return key;
}
