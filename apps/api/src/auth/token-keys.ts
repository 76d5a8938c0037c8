import { createSecretKey, type KeyObject } from 'node:crypto';
import type { Algorithm } from './algorithms.js';
import type { TokenHeader } from './token-header.js';

/** What tokens are verified with: a secret of ours, or the keys of an identity provider. */
export interface TokenKeys {
  /** The only algorithms a token may name. Pinned, so that its own `alg` decides nothing (RFC 8725, section 3.1). */
  readonly algorithms: readonly ('HS256' | Algorithm)[];

  /**
   * The key for a token with this header, made for the algorithm that it names; undefined when there is none.
   * @throws ServiceError `unavailable` when that cannot be known now
   */
  keyFor(header: TokenHeader): Promise<KeyObject | undefined>;
}

/** A secret shared with whatever signs the users in. */
export class SecretKey implements TokenKeys {
  readonly algorithms = ['HS256'] as const;
  /** Made once; jose keeps what it makes of it beside it. */
  private readonly key: KeyObject;

  constructor(secret: string) {
    this.key = createSecretKey(Buffer.from(secret));
  }

  async keyFor({ alg }: TokenHeader): Promise<KeyObject | undefined> {
    return alg === 'HS256' ? this.key : undefined;
  }
}
