import { describe, expect, it } from '@jest/globals';
import { Slots } from './slots.js';

/** An attempt that ends when it is told to. */
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
    slots.stopAll();
    await slots.idle();
    expect([stopped, slots.room]).toEqual([true, 1]);
  });
});
