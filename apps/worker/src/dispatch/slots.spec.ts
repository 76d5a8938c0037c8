import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Slots } from './slots.js';

/** An attempt that ends when the test calls `end`. */
function attempt(): { run: () => Promise<void>; end: () => void } {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  return { run: () => ended, end };
}

describe('the slots of a worker', () => {
  it('say how many attempts may be begun, which jobs run, and when one is free again', async () => {
    const slots = new Slots(2);
    const [one, two] = [attempt(), attempt()];
    void slots.take('job-1', one.run);
    void slots.take('job-2', two.run);
    expect([slots.room, slots.runs('job-1'), slots.runs('job-3')]).toEqual([0, true, false]);
    const freed = slots.freed(new AbortController().signal);
    one.end();
    await freed;
    expect([slots.room, slots.runs('job-1')]).toEqual([1, false]);
    const idle = slots.idle();
    two.end();
    await idle;
    expect(slots.room).toBe(2);
  });

  it('are not waited for by a process that stops, which stops every attempt', async () => {
    const slots = new Slots(1);
    let stopped = false;
    void slots.take('job', async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      stopped = true;
    });
    const stop = new AbortController();
    const freed = slots.freed(stop.signal);
    stop.abort();
    await freed;
    await slots.freed(stop.signal);
    expect(slots.room).toBe(0);
    slots.drain()();
    await slots.idle();
    expect([stopped, slots.room]).toEqual([true, 1]);
  });

  describe('of a process that stops', () => {
    let stopped: string[];
    let slots: Slots;
    const take = (job: string): void =>
      void slots.take(job, async (stop) => {
        await new Promise((resolve) => stop.addEventListener('abort', resolve));
        stopped.push(job);
      });
    beforeEach(() => {
      jest.useFakeTimers();
      [stopped, slots] = [[], new Slots(10, 8_000)];
    });
    afterEach(() => void jest.useRealTimers());

    it('keep attempts for as long as they may, and stop the youngest first, one after the other', async () => {
      for (const job of ['one', 'two', 'three', 'four']) take(job);
      slots.drain();
      const at = async (ms: number): Promise<string[]> => {
        await jest.advanceTimersByTimeAsync(ms);
        return stopped;
      };
      expect(await at(6_400)).toEqual([]);
      expect(await at(200)).toEqual(['four']);
      expect(await at(500)).toEqual(['four', 'three']);
      expect(await at(800)).toEqual(['four', 'three', 'two']);
      expect(await at(200)).toEqual(['four', 'three', 'two', 'one']);
      await slots.idle();
    });

    it('keep the only one to the end', async () => {
      take('one');
      slots.drain();
      await jest.advanceTimersByTimeAsync(7_900);
      expect(stopped).toEqual([]);
      await jest.advanceTimersByTimeAsync(200);
      expect(stopped).toEqual(['one']);
    });
  });
});
