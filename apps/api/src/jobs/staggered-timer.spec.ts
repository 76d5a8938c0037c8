import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { StaggeredTimer } from './staggered-timer.js';

const PERIOD_MS = 10_000;

describe('a staggered timer', () => {
  let visits: number[];
  let timer: StaggeredTimer<number>;
  beforeEach(() => {
    jest.useFakeTimers();
    visits = [];
    timer = new StaggeredTimer(PERIOD_MS, (member) => visits.push(member));
  });
  afterEach(() => {
    timer.stop();
    jest.useRealTimers();
  });

  it('visits each member once a period, a few at a time', () => {
    const members = Array.from({ length: 250 }, (_, n) => n);
    for (const member of members) timer.add(member);
    let most = 0;
    for (let passed = 0; passed < PERIOD_MS; passed += 100) {
      const before = visits.length;
      jest.advanceTimersByTime(100);
      most = Math.max(most, visits.length - before);
    }
    expect([...visits].sort((a, b) => a - b)).toEqual(members);
    expect(most).toBe(3);
    jest.advanceTimersByTime(PERIOD_MS);
    expect(visits).toHaveLength(500);
  });

  it('passes over members that were removed, also during a visit, and ends', () => {
    const others: (() => void)[] = [];
    const fresh = new StaggeredTimer<number>(PERIOD_MS, (member) => {
      visits.push(member);
      others.forEach((leave) => leave());
    });
    fresh.add(1);
    others.push(fresh.add(2), fresh.add(3));
    jest.advanceTimersByTime(2 * PERIOD_MS);
    expect(visits).toEqual([1, 1]);
    expect(fresh.members()).toEqual([1]);
    fresh.stop();
    jest.advanceTimersByTime(PERIOD_MS);
    expect(visits).toEqual([1, 1]);
  });
});
