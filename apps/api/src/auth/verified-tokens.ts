import type { KeyObject } from 'node:crypto';
import { type Caller, tokenIn } from './jwt.strategy.js';
import { readHeader, type TokenHeader } from './token-header.js';
import type { TokenKeys } from './token-keys.js';

/** Most tokens that are remembered, and the longest of them, in characters: some megabytes. */
const MOST_TOKENS = 5_000;
const LONGEST_TOKEN = 2_048;

interface Verified {
  readonly caller: Caller;
  readonly header: TokenHeader;
  readonly key: KeyObject;
}

/**
 * Remembers the callers of verified tokens. A client sends the same token with each request, and verifying a signature costs more than the
 * rest of a short request. A token is remembered by its whole text, until it ends, and only while the key that verified it is valid: a
 * withdrawn key verifies nothing any more.
 */
export class VerifiedTokens {
  private readonly known = new Map<string, Verified>();

  constructor(private readonly keys: TokenKeys) {}

  /**
   * The caller of the token in this `Authorization`; undefined: it must be verified. @throws ServiceError `unavailable` when the keys are
   * not known at the moment
   */
  async find(authorization: string): Promise<Caller | undefined> {
    const verified = this.known.get(authorization);
    if (verified === undefined) return undefined;
    const { caller, header, key } = verified;
    if (Date.now() < caller.endsAt && (await this.keys.keyFor(header)) === key) return caller;
    this.known.delete(authorization);
    return undefined;
  }

  /** Verifies with `verify`, and remembers the caller. The key is read first: if the key changes meanwhile, `find` discards the entry. */
  async verify(authorization: string, verify: () => Promise<Caller>): Promise<Caller> {
    const token = tokenIn(authorization) ?? '';
    const header = token.length <= LONGEST_TOKEN ? readHeader(token) : undefined;
    const key = header && (await this.keys.keyFor(header));
    const caller = await verify();
    if (header !== undefined && key !== undefined) this.remember(authorization, { caller, header, key });
    return caller;
  }

  private remember(authorization: string, verified: Verified): void {
    const [oldest] = this.known.keys();
    if (this.known.size >= MOST_TOKENS && oldest !== undefined) this.known.delete(oldest);
    this.known.set(authorization, verified);
  }
}
