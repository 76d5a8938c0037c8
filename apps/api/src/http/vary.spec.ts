import { describe, expect, it } from '@jest/globals';
import type { FastifyReply } from 'fastify';
import { varyBy } from './vary.js';

describe('Vary', () => {
  it.each([
    [undefined, ['Accept'], 'Accept'],
    ['Origin', ['Authorization', 'Accept'], 'Origin, Authorization, Accept'],
    ['accept,Prefer', ['Accept', 'Prefer'], 'accept, Prefer'],
    [['Origin', 'Accept'], ['Prefer'], 'Origin, Accept, Prefer'],
  ])('of %j keeps what was named, beside %j', (before, names, after) => {
    let vary: string | string[] | undefined = before;
    const reply = { getHeader: () => vary, header: (_: string, value: string) => (vary = value) };
    varyBy(reply as unknown as FastifyReply, ...names);
    expect(vary).toBe(after);
  });
});
