import { createSecretKey, type KeyObject } from 'node:crypto';
import type { TokenHeader } from './token-header.js';

/** What tokens are verified with: a secret of ours, or the keys of an identity provider. */
export interface TokenKeys {
  /** The only algorithms a token may name. Pinned, so that its own `alg` decides nothing (RFC 8725, section 3.1). */
  readonly algorithms: readonly ('HS256' | 'RS256' | 'ES256')[];

  /**
   * The key for a token with this header, made for the algorithm that it names; undefined when there is none.
   * @throws ServiceError `unavailable` when that cannot be known now
   */
  keyFor(header: TokenHeader): Promise<KeyObject | undefined>;
}

/** A secret shared with whatever signs the users in. */
export class SecretKey implements TokenKeys {
  readonly algorithms = ['HS256'] as const;
  /** Made once. Of a text jsonwebtoken makes one for each request, and tries first whether it is a public one. */
  private readonly key: KeyObject;

  constructor(secret: string) {
    this.key = createSecretKey(Buffer.from(secret));
  }

  async keyFor({ alg }: TokenHeader): Promise<KeyObject | undefined> {
    return alg === 'HS256' ? this.key : undefined;
  }
}
