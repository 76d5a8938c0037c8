import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Circuit, type Pass } from './circuit.js';

const NEVER = new AbortController().signal;

describe('the circuit', () => {
  let circuit: Circuit;
  beforeEach(() => {
    jest.useFakeTimers();
    Logger.overrideLogger(false);
    circuit = new Circuit();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const enter = async (): Promise<Pass> => {
    const pass = await circuit.enter(NEVER);
    if (pass === undefined) throw new Error('not let in');
    return pass;
  };
  /** Asks to enter; `in` says whether it was let in. */
  const waiting = (stop: AbortSignal = NEVER): { in: boolean; pass: Promise<Pass | undefined> } => {
    const entry = { in: false, pass: circuit.enter(stop) };
    void entry.pass.then((pass) => (entry.in = pass !== undefined));
    return entry;
  };
  const fail = async (jobId: string, retryAfterMs?: number): Promise<void> =>
    (await enter()).failed(jobId, retryAfterMs);
  const open = async (retryAfterMs?: number): Promise<void> => {
    for (const jobId of ['a', 'b', 'c', 'd', 'e']) await fail(jobId, retryAfterMs);
  };

  it('opens when five jobs in a row fail, not when one does so five times', async () => {
    for (let n = 0; n < 10; n++) await fail('a');
    expect(circuit.isOpen).toBe(false);
    await open();
    expect(circuit.isOpen).toBe(true);
  });

  it('does not open when one in between succeeds, or when they are far apart', async () => {
    for (const jobId of ['a', 'b', 'c', 'd']) await fail(jobId);
    (await enter()).succeeded();
    for (const jobId of ['e', 'f', 'g', 'h']) await fail(jobId);
    await jest.advanceTimersByTimeAsync(21_000);
    await fail('i');
    expect(circuit.isOpen).toBe(false);
  });

  it('then lets one at a time try, and all in once it succeeds', async () => {
    await open();
    const entries = [waiting(), waiting(), waiting()];
    await jest.advanceTimersByTimeAsync(990);
    expect(entries.map((entry) => entry.in)).toEqual([false, false, false]);
    await jest.advanceTimersByTimeAsync(20);
    expect(entries.map((entry) => entry.in)).toEqual([true, false, false]);
    await jest.advanceTimersByTimeAsync(10_000);
    expect(entries.map((entry) => entry.in)).toEqual([true, false, false]);
    (await entries[0]?.pass)?.alive();
    await jest.advanceTimersByTimeAsync(0);
    expect(entries.map((entry) => entry.in)).toEqual([true, true, true]);
    expect(circuit.isOpen).toBe(false);
  });

  it('waits twice as long after each try that fails, up to 15 s', async () => {
    await open();
    for (const ms of [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
      const entry = waiting();
      await jest.advanceTimersByTimeAsync(ms - 10);
      expect([ms, entry.in]).toEqual([ms, false]);
      await jest.advanceTimersByTimeAsync(20);
      expect([ms, entry.in]).toEqual([ms, true]);
      (await entry.pass)?.failed('w');
    }
  });

  it('forgets nobody when the wait is no whole number of milliseconds', async () => {
    jest.useRealTimers();
    for (let n = 0; n < 2; n++) {
      const one = new Circuit();
      for (const jobId of ['a', 'b', 'c', 'd', 'e']) (await one.enter(NEVER))?.failed(jobId, 1_000.999 + n / 7);
      const pass = await one.enter(AbortSignal.timeout(3_000));
      expect(pass).toBeDefined();
      pass?.alive();
    }
  });

  it('waits as long as the model asks', async () => {
    await open(30_000);
    const entry = waiting();
    await jest.advanceTimersByTimeAsync(29_000);
    expect(entry.in).toBe(false);
    await jest.advanceTimersByTimeAsync(1_100);
    expect(entry.in).toBe(true);
  });

  it('lets the next one try when a try comes to nothing, in whatever order things happen', async () => {
    await open();
    const [first, second, third] = [waiting(), waiting(), waiting()];
    await jest.advanceTimersByTimeAsync(1_010);
    const pass = await first.pass;
    pass?.unused();
    await jest.advanceTimersByTimeAsync(0);
    expect([second.in, third.in]).toEqual([true, false]);
    // Said twice, it counts once.
    pass?.unused();
    await jest.advanceTimersByTimeAsync(0);
    expect(third.in).toBe(false);
    (await second.pass)?.unused();
    await jest.advanceTimersByTimeAsync(0);
    expect(third.in).toBe(true);
    (await third.pass)?.unused();
    expect((await enter()) satisfies Pass).toBeDefined();
  });

  it('learns nothing from a reply that goes on and on, nor from one that was begun before', async () => {
    const [endless, early, late] = [await enter(), await enter(), await enter()];
    endless.alive();
    await jest.advanceTimersByTimeAsync(10);
    for (const jobId of ['a', 'b', 'c', 'd', 'e']) {
      endless.alive();
      if (jobId === 'd') early.succeeded();
      await fail(jobId);
    }
    expect(circuit.isOpen).toBe(true);
    const entry = waiting();
    endless.alive();
    late.succeeded();
    await jest.advanceTimersByTimeAsync(900);
    expect([circuit.isOpen, entry.in]).toEqual([true, false]);
    await jest.advanceTimersByTimeAsync(200);
    expect(entry.in).toBe(true);
  });

  it('notes a fault of the try that closed it, like any other', async () => {
    await open();
    await jest.advanceTimersByTimeAsync(1_010);
    const pass = await enter();
    pass.alive();
    pass.failed('j');
    expect(circuit.isOpen).toBe(false);
    for (const jobId of ['a', 'b', 'c', 'd']) await fail(jobId);
    expect(circuit.isOpen).toBe(true);
  });

  it('opens though all begin to write and then break off, and stays open longer each time', async () => {
    for (const ms of [1_000, 2_000, 4_000, 8_000, 15_000]) {
      for (const jobId of ['a', 'b', 'c', 'd', 'e']) {
        const pass = await enter();
        pass.alive();
        pass.failed(jobId);
      }
      expect(circuit.isOpen).toBe(true);
      const entry = waiting();
      await jest.advanceTimersByTimeAsync(ms - 10);
      expect([ms, entry.in]).toEqual([ms, false]);
      await jest.advanceTimersByTimeAsync(20);
      (await entry.pass)?.alive();
      expect(circuit.isOpen).toBe(false);
    }
    // After a while of peace it begins anew.
    await jest.advanceTimersByTimeAsync(21_000);
    await open();
    expect(circuit.opensInMs).toBe(1_000);
  });

  it('lets another one try when the first is silent for long, and hears the first all the same', async () => {
    await open();
    const [first, second, third] = [waiting(), waiting(), waiting()];
    await jest.advanceTimersByTimeAsync(15_500);
    expect([first.in, second.in]).toEqual([true, false]);
    await jest.advanceTimersByTimeAsync(1_000);
    expect([second.in, third.in]).toEqual([true, false]);
    (await first.pass)?.alive();
    await jest.advanceTimersByTimeAsync(0);
    expect([circuit.isOpen, third.in]).toEqual([false, true]);
    (await second.pass)?.alive();
    expect(circuit.isOpen).toBe(false);
  });

  it('lets nobody in who is told to stop, and keeps nobody from stopping', async () => {
    await open();
    const stop = new AbortController();
    const [first, second] = [waiting(stop.signal), waiting()];
    stop.abort();
    expect(await first.pass).toBeUndefined();
    await jest.advanceTimersByTimeAsync(1_010);
    expect(second.in).toBe(true);
    expect(await circuit.enter(stop.signal)).toBeUndefined();
  });
});
