import type { KeyObject } from 'node:crypto';
import { Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { ServiceError } from '#errors/service-error.js';
import { timeLimit } from '#process/time-limit.js';
import { ALGORITHMS } from './algorithms.js';
import { KeySet, NoUsableKey } from './key-set.js';
import type { TokenHeader } from './token-header.js';
import type { TokenKeys } from './token-keys.js';

/** When the keys are fetched, in milliseconds. */
export const TIMINGS = {
  /** The interval. A withdrawn key stays valid for at most this long. */
  every: 5 * 60_000,
  /** Longest fetch. */
  fetch: 5_000,
  /** After a failed fetch, tokens cause no other fetch for this long. */
  retry: 5_000,
  /** After a failed fetch, the next one begins by itself after this time. */
  again: 30_000,
  /** If a token with an unknown key caused a fetch that did not find the key, tokens cause no other fetch for this long. */
  vain: 5_000,
  /** How long the last keys stay valid while the provider is away. */
  trusted: 4 * 60 * 60_000,
};

/** Largest answer; the sets of large providers have about 20 KB. In bytes. */
const LARGEST_SET = 256 * 1024;

/**
 * The keys that an identity provider publishes at an address (RFC 7517, section 5). They are fetched at start and then at intervals, in the
 * background. A token with an unknown key causes one more fetch, which all such tokens share. So a new key works with its first token, and
 * made-up keys cannot flood the provider.
 *
 * While the provider is away, the known keys stay valid. The validity of an unknown key is then unclear, so its token gets `unavailable`,
 * not `unauthorized`.
 */
export class ProviderKeys implements TokenKeys, OnApplicationBootstrap, OnModuleDestroy {
  readonly algorithms = ALGORITHMS;
  private readonly logger = new Logger(ProviderKeys.name);
  private readonly stopping = new AbortController();
  private keys: KeySet | undefined;
  private fetchedAt = -Infinity;
  private failedAt = -Infinity;
  private vainAt = -Infinity;
  private fetching: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Why the last fetch failed. The same reason is logged only once. */
  private fault: string | undefined;

  constructor(
    private readonly uri: string,
    private readonly timings = TIMINGS,
  ) {}

  /** Start-up does not wait for the keys: while the provider is away, the API starts and reports it. */
  onApplicationBootstrap(): void {
    void this.fetch();
  }

  onModuleDestroy(): void {
    clearTimeout(this.timer);
    this.stopping.abort();
  }

  async keyFor(header: TokenHeader): Promise<KeyObject | undefined> {
    if (!ALGORITHMS.some((name) => name === header.alg)) return undefined;
    const known = this.trusted?.find(header);
    if (known !== undefined) return known;
    if (performance.now() - this.failedAt < this.timings.retry) throw this.away();
    if (performance.now() - this.vainAt < this.timings.vain) return undefined;
    await this.fetch();
    if (this.fault !== undefined) throw this.away();
    const found = this.trusted?.find(header);
    if (found === undefined) this.vainAt = performance.now();
    return found;
  }

  private get trusted(): KeySet | undefined {
    return performance.now() - this.fetchedAt < this.timings.trusted ? this.keys : undefined;
  }

  private away(): ServiceError {
    return new ServiceError('unavailable', 'The token cannot be checked right now. Please try again.', {
      headers: { 'retry-after': String(Math.ceil(this.timings.retry / 1_000)) },
    });
  }

  /** Fetches the keys, one fetch at a time. It never rejects; `fault` holds the result. */
  private fetch(): Promise<void> {
    clearTimeout(this.timer);
    this.fetching ??= this.fetchOnce().finally(() => {
      this.fetching = undefined;
      if (this.stopping.signal.aborted) return;
      const { every, again } = this.timings;
      this.timer = setTimeout(() => void this.fetch(), this.fault === undefined ? every : again);
      this.timer.unref();
    });
    return this.fetching;
  }

  private async fetchOnce(): Promise<void> {
    try {
      const keys = new KeySet(await this.read());
      if (keys.ids !== this.keys?.ids || this.fault !== undefined) {
        this.logger.log(`the identity provider has the keys ${keys.ids}`);
        for (const refused of keys.refused) this.logger.warn(`ignoring a key of the identity provider: ${refused}`);
      }
      this.keys = keys;
      this.fetchedAt = performance.now();
      this.failedAt = -Infinity;
      this.fault = undefined;
    } catch (error) {
      const fault = reason(error);
      if (fault !== this.fault && !this.stopping.signal.aborted) {
        const what = error instanceof NoUsableKey ? 'has no usable key' : 'does not give its keys';
        this.logger.warn(`the identity provider ${what} (JWT_JWKS_URI): ${fault}`);
      }
      this.failedAt = performance.now();
      this.fault = fault;
    }
  }

  private async read(): Promise<string> {
    const limit = timeLimit(this.timings.fetch, this.stopping.signal);
    try {
      return await this.readWithin(limit.signal);
    } finally {
      limit.release();
    }
  }

  private async readWithin(signal: AbortSignal): Promise<string> {
    const response = await fetch(this.uri, {
      headers: { accept: 'application/jwk-set+json, application/json' },
      // A redirect could lead to another machine, or away from https.
      redirect: 'error',
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`it answered ${response.status}`);
    }
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      bytes += piece.length;
      if (bytes > LARGEST_SET) throw new Error(`it answered more than ${LARGEST_SET} bytes`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces).toString();
  }
}

/** `fetch` reports only that it failed. The cause says why. */
function reason(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message || String(error);
}
