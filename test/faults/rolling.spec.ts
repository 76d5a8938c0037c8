import { setTimeout as pause } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { borrowStack } from '../support/borrow-stack.js';
import { expectSound } from '../support/sweep.js';
import type { App } from '../support/processes.js';
import type { Stack } from '../support/stack.js';
import { until } from '../support/until.js';
import { untrue } from './chaos.js';
import { at, Fleet } from './fleet.js';
import { STOP_MS } from './killer.js';
import { type BrokenCall, Load } from './load.js';
import { anySeed, Random } from './random.js';

/** The time of load before the first stop, between two, and after the last, in milliseconds: all users have turns under way by then. */
const BETWEEN_MS = 700;

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

  it('of all workers loses no attempt, and every client gets its answer', async () => {
    const { load, codes } = await roll('workers', fleet.workers);
    expect(load.violations).toEqual([]);
    expect(load.repeated).toBe(0);
    expect(codes).toEqual([0, 0, 0]);
    expect(load.turns.length).toBeGreaterThan(30);
    await expectSound(fleet.stack);
    expect(await untrue(fleet.stack, load.turns)).toEqual([]);
    expect(await lostAttempts()).toEqual([]);
  }, 180_000);

  it('of all APIs answers every accepted request, and refuses the others before', async () => {
    const cut: BrokenCall[] = [];
    const { load, codes } = await roll('apis', fleet.apis, (call) => void cut.push(call));
    const ids = cut.map(({ requestId }) => requestId);
    const { rows } = await fleet.stack.database.query('SELECT request_id FROM jobs WHERE request_id = ANY($1)', [ids]);
    const accepted = new Set(rows.map(({ request_id: id }) => id as string));
    // The API may close an idle connection at the moment at which a request is sent on it.
    const wrong = cut.filter(({ requestId, answered }) => answered || accepted.has(requestId));
    expect([...load.violations, ...wrong.map(inWords)]).toEqual([]);
    expect(codes).toEqual([0, 0]);
    expect(load.turns.length).toBeGreaterThan(30);
    await expectSound(fleet.stack);
    expect(await untrue(fleet.stack, load.turns)).toEqual([]);
    expect(await lostAttempts()).toEqual([]);
  }, 180_000);
});

describe('replacing workers one after the other', () => {
  /** The length of a reply, in milliseconds, and its pieces. */
  const REPLY_MS = 4_000;
  const PIECES = 20;
  /** The shortest time between two replacements, in milliseconds. */
  const APART_MS = 1_500;
  let stack: Stack;
  afterEach(() => stack?.stop());

  const start = async (ownWorkers: number, drainSeconds: string): Promise<void> => {
    stack = await borrowStack({ ownWorkers, workerEnv: { WORKER_DRAIN_SECONDS: drainSeconds } });
    await stack.model.script('long', { pieces: Array(PIECES).fill('word '), piece_delay_ms: REPLY_MS / PIECES });
  };

  /** Sends a turn for each user. Resolves when all replies have begun. */
  const send = async (users: number): Promise<void> => {
    const all = Array.from({ length: users }, () => stack.as(randomUUID()));
    await Promise.all(all.map(async (user) => user.turnAsync((await user.chat()).id, 'a long one')));
    await until(async () => (await jobsNow()).every((status) => status !== 'queued'), 'the beginning of all replies');
  };

  const jobsNow = async (): Promise<string[]> =>
    (await stack.database.query<{ status: string }>('SELECT status FROM jobs')).rows.map(({ status }) => status);

  /** Stops the worker in a slot, and starts another in its place once it has ended. */
  const replace = async (slot: number): Promise<void> => {
    const worker = at(stack.workers, slot);
    expect(await worker.stop(30_000)).toBe(0);
    stack.workers[slot] = await stack.again(worker);
  };

  /** The outcomes of each job's calls, in order. */
  const calls = async (): Promise<string[][]> => {
    const { rows } = await stack.database.query<{ outcomes: string[] }>(
      'SELECT array_agg(outcome ORDER BY attempt) AS outcomes FROM model_calls GROUP BY job_id',
    );
    return rows.map(({ outcomes }) => outcomes);
  };

  const allSucceeded = async (): Promise<boolean> => (await jobsNow()).every((status) => status === 'succeeded');

  it('pays for each long reply once, if a stopping worker may go on as long as a reply lasts', async () => {
    await start(2, '20');
    for (const slot of [0, 1]) {
      await send(6);
      await replace(slot);
    }
    await until(allSucceeded, 'all replies');
    expect(await calls()).toEqual(Array(12).fill(['completed']));
  }, 60_000);

  it('again and again begins no long reply more than a few times, even if few end while their worker stops', async () => {
    await start(4, '1');
    let outcomes: string[][] = [];
    // On a machine that is busy with something else all replies may have ended before the first worker is told to stop: then once more.
    for (let tries = 0; tries < 3 && !outcomes.flat().includes('handed_back'); tries++) {
      await send(8);
      for (let n = 0; n < 20 && !(await allSucceeded()); n++) {
        await Promise.all([replace(n % stack.workers.length), pause(APART_MS)]);
      }
      expect(await allSucceeded()).toBe(true);
      outcomes = await calls();
    }
    expect(outcomes.flat()).toContain('handed_back');
    expect(Math.max(...outcomes.map(({ length }) => length))).toBeLessThanOrEqual(3);
  }, 120_000);
});
