import { describe, expect, it } from '@jest/globals';
import { ContextLimits } from './context-limits.js';

const HOUR = 60 * 60 * 1_000;

describe('the limit that a model has named', () => {
  it('is that model’s only, the latest, and forgotten after an hour', () => {
    let now = 0;
    const limits = new ContextLimits(() => now);
    limits.learn('m', 200);
    limits.learn('m', 100);
    expect([limits.of('m'), limits.of('other')]).toEqual([100, Infinity]);
    now = HOUR;
    expect(limits.of('m')).toBe(100);
    now += 1;
    expect(limits.of('m')).toBe(Infinity);
  });

  it('does not outlive a longer prompt that the model took', () => {
    const limits = new ContextLimits();
    limits.learn('m', 100);
    limits.accepted('m', 100);
    expect(limits.of('m')).toBe(100);
    limits.accepted('m', 101);
    expect(limits.of('m')).toBe(Infinity);
  });

  it('is remembered for a hundred models, the latest ones', () => {
    const limits = new ContextLimits();
    for (let n = 0; n < 150; n++) limits.learn(`m${n}`, 100);
    expect([limits.of('m49'), limits.of('m50')]).toEqual([Infinity, 100]);
  });

  it.each([0, -1, NaN])('is never %d', (most) => {
    const limits = new ContextLimits();
    limits.learn('m', most);
    expect(limits.of('m')).toBe(Infinity);
  });
});
