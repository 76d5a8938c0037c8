import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Reflector } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { BearerGuard } from './auth.guard.js';
import type { Caller } from './jwt.strategy.js';
import { Public } from './public.decorator.js';
import { Requires } from './requires.decorator.js';
import { SecretKey } from './token-keys.js';
import { VerifiedTokens } from './verified-tokens.js';

class Closed {}

@Public()
class Open {}

@Requires('admin')
class Operators {}

describe('the guard of a route', () => {
  // No strategy is registered, so verifying a token here fails.
  const guard = new BearerGuard(new Reflector(), new VerifiedTokens(new SecretKey('of no use')));
  const enter = (target: typeof Closed, user?: Caller) =>
    guard.canActivate(new ExecutionContextHost([{ user, headers: {} }, {}], target, () => undefined));
  const caller = (...scopes: string[]): Caller => ({ userId: 'ana', endsAt: Infinity, scopes: new Set(scopes) });

  it('verifies nobody twice', async () => {
    expect(await enter(Closed, caller())).toBe(true);
    expect(await enter(Operators, caller('admin'))).toBe(true);
  });

  it('lets in nobody whom nobody has verified, unless it is public', async () => {
    await expect(enter(Closed)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(enter(Operators)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await enter(Open)).toBe(true);
  });

  it('lets in nobody whose token ended while the request was on its way', async () => {
    await expect(enter(Closed, { ...caller(), endsAt: Date.now() })).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('is not there to who lacks its scope', async () => {
    await expect(enter(Operators, caller('administrator'))).rejects.toMatchObject({ code: 'not_found' });
  });
});
