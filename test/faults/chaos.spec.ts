import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chaos, inWords } from './chaos.js';
import { Fleet } from './fleet.js';
import { anySeed } from './random.js';

/** The same seed gives the same harm, at about the same times. */
const seed = Number(process.env['TEST_SEED'] ?? anySeed());

describe('with workers, API, queue and database killed at random', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start();
  });
  afterAll(() => fleet?.stop());

  it('every accepted turn ends with exactly one complete message and no call hangs', async () => {
    const report = await chaos(fleet, { seed, name: 'chaos', users: 20, forMs: 30_000, turns: 300 });
    if (report === undefined || report.violations.length > 0) throw new Error(report && inWords(report));
    expect(report.turns).toBeGreaterThanOrEqual(300);
    expect(report.deeds.length).toBeGreaterThan(5);
  }, 300_000);
});
