import { describe, expect, it } from '@jest/globals';
import { pause, pauseBefore } from './pauses.js';

describe('the pause before a further try', () => {
  it('is about as long as it should be, and not always the same', () => {
    const pauses = Array.from({ length: 100 }, () => pauseBefore(2_000, undefined) ?? 0);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(1_500);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(2_500);
    expect(new Set(pauses).size).toBeGreaterThan(1);
  });

  it.each([
    ['0', 0],
    [' 3 ', 3_000],
    ['10', 10_000],
    ['11', undefined],
    ['99999999999999999999', undefined],
    ['Thu, 01 Jan 1970 00:00:05 GMT', 4_000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Thu, 01 Jan 1970 00:01:00 GMT', undefined],
  ])('with `Retry-After: %s` is %s ms', (retryAfter, ms) => {
    expect(pauseBefore(500, retryAfter, 1_000)).toBe(ms);
  });

  it.each(['soon', '-1', '1.5', ''])('is the usual one for a `Retry-After` that says nothing: "%s"', (retryAfter) => {
    const ms = pauseBefore(500, retryAfter);
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(ms).toBeLessThanOrEqual(625);
  });

  it('ends at once with the reason of a stop', async () => {
    const stop = new AbortController();
    const paused = pause(60_000, stop.signal);
    stop.abort('stopped');
    await expect(paused).rejects.toBe('stopped');
  });
});
