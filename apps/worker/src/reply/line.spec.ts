import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { ClaimedJob } from '#jobs/claim.js';
import type { Doorbell } from '#queue/doorbell.js';
import { Circuits } from '../model/circuits.js';
import { Line } from './line.js';
import type { ReplyRunner } from './reply.runner.js';
import { Slots } from './slots.js';

const turns = async (): Promise<void> => {
  for (let n = 0; n < 20; n++) await new Promise(setImmediate);
};

describe('a worker at the line', () => {
  /** The jobs that are due, in order; what each look took, and who else was called. */
  let due: number;
  let looks: number[];
  let calls: number;
  let failing: boolean;
  let running: (() => void)[];
  let more: () => void;
  beforeAll(() => Logger.overrideLogger(false));
  afterAll(() => Logger.overrideLogger(['log']));
  beforeEach(() => {
    [due, looks, calls, failing, running] = [0, [], 0, false, []];
  });

  const worker = (slots: Slots): Line => {
    const query = async (text: string): Promise<unknown[]> => {
      if (failing) throw new Error('away');
      const most = Number(/LIMIT (\d)/.exec(text)?.[1]);
      const took = Math.min(most, due);
      due -= took;
      looks.push(took);
      return Array.from({ length: took }, (_, n) => ({ id: `job-${looks.length}-${n}`, more: due > 0 }));
    };
    const runner = {
      onMore: (told: () => void) => (more = told),
      run: ({ id }: ClaimedJob) => slots.take(id, () => new Promise((end) => running.push(end))),
    };
    const doorbell = { call: async () => (calls += 1) };
    const manager = { query } as unknown as EntityManager;
    return new Line(
      manager,
      new Circuits(manager),
      runner as unknown as ReplyRunner,
      slots,
      doorbell as unknown as Doorbell,
    );
  };

  it('takes all that is due, and looks once when nothing is', async () => {
    const line = worker(new Slots(100));
    due = 20;
    await line.come();
    // Seven of the fairest, then the oldest one.
    expect(looks).toEqual([7, 1, 7, 1, 4]);
    await line.come();
    expect(looks.slice(5)).toEqual([0]);
    expect(line.isAway).toBe(true);
  });

  it('calls one other worker when there is more than it takes, and none when there is not', async () => {
    const line = worker(new Slots(100));
    due = 7;
    await line.come();
    expect(calls).toBe(0);
    due = 30;
    await line.come();
    expect(calls).toBe(1);
  });

  it('takes no more than it has room for, and is not to be called again before it has room', async () => {
    const line = worker(new Slots(2));
    due = 2;
    let left = false;
    const come = line.come().then(() => (left = true));
    await turns();
    expect([looks, left, line.isAway]).toEqual([[2], false, false]);
    running.shift()?.();
    await come;
    expect([looks, calls]).toEqual([[2], 0]);
    // Full again, and called all the same: somebody else is.
    due = 2;
    void line.come();
    await turns();
    expect([looks, calls]).toEqual([[2, 1], 1]);
    running.shift()?.();
    await turns();
    expect(looks).toEqual([2, 1, 1]);
    expect(calls).toBe(1);
  });

  it('looks once more when it is called while it looks, or told by an attempt that others wait', async () => {
    const line = worker(new Slots(10));
    const first = line.come();
    const second = line.come();
    await Promise.all([first, second]);
    expect(looks.length).toBeLessThanOrEqual(2);
    due = 1;
    more();
    await turns();
    expect(looks.at(-1)).toBe(1);
  });

  it('takes nothing once it stops, and calls another for what it was called for', async () => {
    const slots = new Slots(1);
    const line = worker(slots);
    due = 2;
    const come = line.come();
    await turns();
    await line.stop();
    await come;
    expect([looks, due]).toEqual([[1], 1]);
    expect(calls).toBeGreaterThan(0);
    running.shift()?.();
    await line.come();
    expect(looks).toEqual([1]);
  });

  it('is not kept from coming again by a database that is away', async () => {
    const line = worker(new Slots(1));
    failing = true;
    await line.come();
    failing = false;
    due = 1;
    void line.come();
    await turns();
    expect(looks).toEqual([1]);
  });
});
