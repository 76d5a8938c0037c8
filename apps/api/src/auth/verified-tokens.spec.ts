import { createSecretKey } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import jwt from 'jsonwebtoken';
import type { Caller } from './jwt.strategy.js';
import { VerifiedTokens } from './verified-tokens.js';

const keyOf = (secret: string) => createSecretKey(Buffer.from(secret));

describe('a token that was verified', () => {
  const keys = { algorithms: ['HS256'] as const, key: keyOf('one'), keyFor: async () => keys.key };
  const authorization = (n = 0): string => `Bearer ${jwt.sign({ sub: 'ana', n }, keyOf('one'), { noTimestamp: true })}`;
  const caller = (seconds: number): Caller => ({
    userId: 'ana',
    endsAt: Date.now() + seconds * 1_000,
    scopes: new Set(),
  });

  it('names its caller without being verified again', async () => {
    const tokens = new VerifiedTokens(keys);
    const ana = caller(60);
    expect(await tokens.find(authorization())).toBeUndefined();
    expect(await tokens.verify(authorization(), async () => ana)).toBe(ana);
    expect(await tokens.find(authorization())).toBe(ana);
    expect(await tokens.find(`${authorization()}x`)).toBeUndefined();
  });

  it('names nobody once it has ended', async () => {
    const tokens = new VerifiedTokens(keys);
    await tokens.verify(authorization(), async () => caller(-1));
    await tokens.verify(authorization(1), async () => caller(1));
    expect(await tokens.find(authorization())).toBeUndefined();
    expect(await tokens.find(authorization(1))).toBeDefined();
  });

  it('names nobody once another key, or none, would verify it', async () => {
    const tokens = new VerifiedTokens(keys);
    await tokens.verify(authorization(), async () => caller(60));
    const { key } = keys;
    keys.key = keyOf('another');
    expect(await tokens.find(authorization())).toBeUndefined();
    keys.key = key;
    expect(await tokens.find(authorization())).toBeUndefined();
  });

  it('is not remembered when it names nobody', async () => {
    const tokens = new VerifiedTokens(keys);
    await expect(tokens.verify(authorization(), () => Promise.reject(new Error('forged')))).rejects.toThrow('forged');
    expect(await tokens.find(authorization())).toBeUndefined();
  });

  it('gives way to newer ones when there are thousands', async () => {
    const tokens = new VerifiedTokens(keys);
    const all = Array.from({ length: 5_001 }, (_, n) => authorization(n));
    for (const one of all) await tokens.verify(one, async () => caller(60));
    expect(await tokens.find(all[0] ?? '')).toBeUndefined();
    expect(await tokens.find(all[1] ?? '')).toBeDefined();
  });
});
