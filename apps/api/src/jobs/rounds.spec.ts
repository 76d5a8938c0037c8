import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Rounds } from './rounds.js';

const ROUND_MS = 10_000;

describe('rounds', () => {
  let visits: number[];
  let rounds: Rounds<number>;
  beforeEach(() => {
    jest.useFakeTimers();
    visits = [];
    rounds = new Rounds(ROUND_MS, (member) => visits.push(member));
  });
  afterEach(() => {
    rounds.stop();
    jest.useRealTimers();
  });

  it('visit each member once a round, a few at a time', () => {
    const members = Array.from({ length: 250 }, (_, n) => n);
    for (const member of members) rounds.add(member);
    let most = 0;
    for (let passed = 0; passed < ROUND_MS; passed += 100) {
      const before = visits.length;
      jest.advanceTimersByTime(100);
      most = Math.max(most, visits.length - before);
    }
    expect([...visits].sort((a, b) => a - b)).toEqual(members);
    expect(most).toBe(3);
    jest.advanceTimersByTime(ROUND_MS);
    expect(visits).toHaveLength(500);
  });

  it('pass over who was taken out, also during a visit, and end', () => {
    const others: (() => void)[] = [];
    const fresh = new Rounds<number>(ROUND_MS, (member) => {
      visits.push(member);
      others.forEach((leave) => leave());
    });
    fresh.add(1);
    others.push(fresh.add(2), fresh.add(3));
    jest.advanceTimersByTime(2 * ROUND_MS);
    expect(visits).toEqual([1, 1]);
    expect(fresh.members()).toEqual([1]);
    fresh.stop();
    jest.advanceTimersByTime(ROUND_MS);
    expect(visits).toEqual([1, 1]);
  });
});
