import { createSecretKey, type KeyObject } from 'node:crypto';
import type { Algorithm } from './algorithms.js';
import type { TokenHeader } from './token-header.js';

/** Keys that verify tokens: a secret of ours, or an identity provider's keys. */
export interface TokenKeys {
  /** The only algorithms a token may name. They are fixed, so that a token's own `alg` decides nothing (RFC 8725, section 3.1). */
  readonly algorithms: readonly ('HS256' | Algorithm)[];

  /**
   * The key for a token with this header, for the algorithm that the header names; undefined when there is none.
   * @throws ServiceError `unavailable` when the keys are not known at the moment
   */
  keyFor(header: TokenHeader): Promise<KeyObject | undefined>;
}

/** A secret shared with the system that signs users in. */
export class SecretKey implements TokenKeys {
  readonly algorithms = ['HS256'] as const;
  /** Made once, so that jose can cache what it derives from it. */
  private readonly key: KeyObject;

  constructor(secret: string) {
    this.key = createSecretKey(Buffer.from(secret));
  }

  async keyFor({ alg }: TokenHeader): Promise<KeyObject | undefined> {
    return alg === 'HS256' ? this.key : undefined;
  }
}
