import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { WorkerWaker } from '#queue/worker-waker.js';
import type { Attempts } from '../attempt/attempts.js';
import type { Ended } from '../attempt/endings.js';
import { Circuits } from '../model/circuits.js';
import { Claimer } from './claimer.js';
import { Slots } from './slots.js';

const turns = async (): Promise<void> => {
  for (let n = 0; n < 20; n++) await new Promise(setImmediate);
};

describe('the claimer of a worker', () => {
  /** How many jobs are due, how many each claim took, and how often another worker was woken. */
  let due: number;
  let claims: number[];
  let wakes: number;
  let failing: boolean;
  let running: ((more?: boolean) => void)[];
  beforeAll(() => Logger.overrideLogger(false));
  afterAll(() => Logger.overrideLogger(['log']));
  beforeEach(() => {
    [due, claims, wakes, failing, running] = [0, [], 0, false, []];
  });

  const worker = (slots: Slots): Claimer => {
    const query = async (text: string): Promise<unknown[]> => {
      if (failing) throw new Error('away');
      const most = Number(/LIMIT (\d)/.exec(text)?.[1]);
      const took = Math.min(most, due);
      due -= took;
      claims.push(took);
      return Array.from({ length: took }, (_, n) => ({
        id: `job-${claims.length}-${n}`,
        definitionName: 'a 1',
        definition: { model: 'm' },
        more: due > 0,
      }));
    };
    const attempts = {
      run: () => new Promise<Ended>((end) => running.push((more = false) => end({ more }))),
    };
    const waker = { wakeAny: async () => (wakes += 1) };
    const manager = { query } as unknown as EntityManager;
    return new Claimer(
      manager,
      new Circuits(manager),
      attempts as unknown as Attempts,
      slots,
      waker as unknown as WorkerWaker,
    );
  };

  it('takes all that is due, and looks once when nothing is', async () => {
    const claimer = worker(new Slots(100));
    due = 20;
    await claimer.wake();
    // Seven jobs in the order of rounds, then the oldest one.
    expect(claims).toEqual([7, 1, 7, 1, 4]);
    await claimer.wake();
    expect(claims.slice(5)).toEqual([0]);
    expect(claimer.isAsleep).toBe(true);
  });

  it('wakes one other worker when more is due than it takes, and none when no more is', async () => {
    const claimer = worker(new Slots(100));
    due = 7;
    await claimer.wake();
    expect(wakes).toBe(0);
    due = 30;
    await claimer.wake();
    expect(wakes).toBe(1);
  });

  it('takes no more than it has slots for, and needs no other ticket before one is free', async () => {
    const claimer = worker(new Slots(2));
    due = 2;
    let left = false;
    const woken = claimer.wake().then(() => (left = true));
    await turns();
    expect([claims, left, claimer.isAsleep]).toEqual([[2], false, false]);
    running.shift()?.();
    await woken;
    expect([claims, wakes]).toEqual([[2], 0]);
    // The worker is full again when it is woken, so it wakes another one.
    due = 2;
    void claimer.wake();
    await turns();
    expect([claims, wakes]).toEqual([[2, 1], 1]);
    running.shift()?.();
    await turns();
    expect(claims).toEqual([2, 1, 1]);
    expect(wakes).toBe(1);
  });

  it('looks once more when it is woken while it looks, or when an attempt ends and others wait', async () => {
    const claimer = worker(new Slots(10));
    const first = claimer.wake();
    const second = claimer.wake();
    await Promise.all([first, second]);
    expect(claims.length).toBeLessThanOrEqual(2);
    due = 1;
    await claimer.wake();
    due = 1;
    running[0]?.(true);
    await turns();
    expect([claims.at(-1), due]).toEqual([1, 0]);
  });

  it('takes nothing once it stops, and wakes another worker for what it was woken for', async () => {
    const slots = new Slots(1);
    const claimer = worker(slots);
    due = 2;
    const woken = claimer.wake();
    await turns();
    await claimer.stop();
    await woken;
    expect([claims, due]).toEqual([[1], 1]);
    expect(wakes).toBeGreaterThan(0);
    running.shift()?.();
    await claimer.wake();
    expect(claims).toEqual([1]);
  });

  it('claims again after a database was away', async () => {
    const claimer = worker(new Slots(1));
    failing = true;
    await claimer.wake();
    failing = false;
    due = 1;
    void claimer.wake();
    await turns();
    expect(claims).toEqual([1]);
  });
});
