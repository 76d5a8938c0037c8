import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectSound } from '../support/sweep.js';
import type { App } from '../support/processes.js';
import { untrue } from './chaos.js';
import { at, Fleet } from './fleet.js';
import { STOP_MS } from './killer.js';
import { type BrokenCall, Load } from './load.js';
import { anySeed, Random } from './random.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Load before the first stop, between two, and after the last, in milliseconds. */
const BETWEEN_MS = 1_500;

function inWords({ what, error, answered }: BrokenCall): string {
  const { code, message } = (error.cause ?? {}) as { code?: string; message?: string };
  return `${answered ? 'cut in the middle of an answer' : 'accepted and not answered'}: ${what}: ${error.message}, ${code} ${message}`;
}

describe('a rolling restart under load', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start();
  });
  afterAll(() => fleet?.stop());

  /** Stops and replaces one app after the other while users send turns. @returns the load, and how each app ended */
  const roll = async (
    name: string,
    slots: App[],
    broken?: (call: BrokenCall) => void,
  ): Promise<{ load: Load; codes: (number | null)[] }> => {
    let over = false;
    const random = new Random(anySeed());
    const load = new Load({ urls: fleet.urls, users: 15, name, random, enough: () => over, broken });
    const running = load.run();
    const codes: (number | null)[] = [];
    try {
      for (const slot of slots.keys()) {
        await pause(BETWEEN_MS);
        codes.push(await at(slots, slot).stop(STOP_MS));
        await fleet.replace(slots, slot);
      }
      await pause(BETWEEN_MS);
    } finally {
      over = true;
      await running;
    }
    return { load, codes };
  };

  const lostAttempts = async (): Promise<unknown[]> => {
    const { rows } = await fleet.stack.database.query(`SELECT * FROM model_calls WHERE outcome IN ('lost', 'failed')`);
    return rows;
  };

  it('of all workers loses no attempt, and no client sees anything but its answer', async () => {
    const { load, codes } = await roll('workers', fleet.workers);
    expect(load.violations).toEqual([]);
    expect(load.repeated).toBe(0);
    expect(codes).toEqual([0, 0, 0]);
    expect(load.turns.length).toBeGreaterThan(30);
    await expectSound(fleet.stack);
    expect(await untrue(fleet.stack, load.turns)).toEqual([]);
    expect(await lostAttempts()).toEqual([]);
  }, 180_000);

  it('of all APIs answers whoever was accepted, and refuses the others before', async () => {
    const cut: BrokenCall[] = [];
    const { load, codes } = await roll('apis', fleet.apis, (call) => void cut.push(call));
    const ids = cut.map(({ requestId }) => requestId);
    const { rows } = await fleet.stack.database.query('SELECT request_id FROM jobs WHERE request_id = ANY($1)', [ids]);
    const accepted = new Set(rows.map(({ request_id: id }) => id as string));
    // A connection that was kept from an earlier call may be closed in the moment the next is sent on it.
    const wrong = cut.filter(({ requestId, answered }) => answered || accepted.has(requestId));
    expect([...load.violations, ...wrong.map(inWords)]).toEqual([]);
    expect(codes).toEqual([0, 0]);
    expect(load.turns.length).toBeGreaterThan(30);
    await expectSound(fleet.stack);
    expect(await untrue(fleet.stack, load.turns)).toEqual([]);
    expect(await lostAttempts()).toEqual([]);
  }, 180_000);
});
