import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { FIRST_AFTER_OUTAGE, RAMP_ENDS_AT } from '#jobs/timings.js';
import { Circuit, type Trial } from './circuit.js';
import { operatorMust, unavailable } from './model-fault.js';

const AWAY = unavailable('away');
const KEY = operatorMust('model_unauthorized', 'the key', 'all');

describe('a circuit', () => {
  let circuit: Circuit;
  /** How long the circuit was opened each time; how often it asked for a probe; how often it closed. */
  let opened: number[];
  let asked: number;
  let closed: number;
  beforeEach(() => {
    jest.useFakeTimers();
    [opened, asked, closed] = [[], 0, 0];
    circuit = new Circuit({
      opened: (ms) => opened.push(ms),
      mayTry: () => (asked += 1),
      closed: () => (closed += 1),
    });
  });
  afterEach(() => {
    circuit.stop();
    jest.useRealTimers();
  });

  const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);
  const fail = (id: string, fault = AWAY, userId = `user of ${id}`): boolean =>
    circuit.begin(false).failed({ id, userId }, fault);
  const answer = (): void => circuit.begin(false).answered();
  const open = (): void => ['a', 'b', 'c', 'd', 'e'].forEach((id) => fail(id));
  const probe = (): Trial => {
    expect(circuit.mayTry).toBe(true);
    return circuit.begin(true);
  };

  it('opens when five jobs in a row fail, not when one does so five times', () => {
    for (let n = 0; n < 10; n++) fail('a');
    expect(circuit.isOpen).toBe(false);
    open();
    expect([circuit.isOpen, opened]).toEqual([true, [1_000]]);
  });

  it('does not open when an answer begins in between, or when the failures are far apart', async () => {
    for (const id of ['a', 'b', 'c', 'd']) fail(id);
    answer();
    for (const id of ['e', 'f', 'g', 'h']) fail(id);
    await pass(21_000);
    fail('i');
    expect(circuit.isOpen).toBe(false);
  });

  it('then lets one at a time try, and closes as soon as that one is answered', async () => {
    open();
    await pass(990);
    expect([circuit.mayTry, asked]).toEqual([false, 0]);
    await pass(20);
    expect(asked).toBe(1);
    const trial = probe();
    await pass(10_000);
    expect(circuit.mayTry).toBe(false);
    trial.answered();
    expect([circuit.isOpen, closed]).toEqual([false, 1]);
  });

  it('waits twice as long after each try that fails, up to 15 s', async () => {
    open();
    for (const ms of [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
      expect(opened.at(-1)).toBe(ms);
      await pass(ms - 10);
      expect(circuit.mayTry).toBe(false);
      await pass(20);
      probe().failed({ id: `probe ${ms}`, userId: 'u' }, AWAY);
    }
  });

  it('opens at once when an operator has to act, and then tries now and then, once a minute in the end', async () => {
    fail('a', KEY);
    for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
      expect(opened.at(-1)).toBe(ms);
      await pass(ms + 10);
      probe().failed({ id: `probe ${opened.length}`, userId: `user ${opened.length}` }, KEY);
    }
    expect(circuit.reason).toBe(KEY);
    await pass(60_010);
    probe().answered();
    expect(circuit.isOpen).toBe(false);
  });

  it('lets a job try that was never tried, once a second, and waits no longer for its failure', async () => {
    open();
    for (const ms of [1_000, 2_000, 4_000]) {
      await pass(ms + 10);
      probe().failed({ id: `probe ${ms}`, userId: 'u' }, AWAY);
    }
    for (let n = 0; n < 3; n++) {
      expect([circuit.mayTry, circuit.mayTryAfresh]).toEqual([false, false]);
      asked = 0;
      await pass(1_010);
      expect([circuit.mayTry, circuit.mayTryAfresh, asked]).toEqual([false, true, 1]);
      circuit.begin(true).failed({ id: `fresh ${n}`, userId: `user ${n}` }, AWAY);
    }
    expect(opened).toEqual([1_000, 2_000, 4_000, 8_000]);
    await pass(8_000 - 3_030 + 10);
    expect(circuit.mayTry).toBe(true);
  });

  it('waits as long as the model asks', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) fail(id, unavailable('away', { retryAfterMs: 30_000 }));
    await pass(29_000);
    expect(circuit.mayTry).toBe(false);
    await pass(1_100);
    expect(circuit.mayTry).toBe(true);
  });

  it('lets the next one try when a try comes to nothing, and counts what is said twice once', async () => {
    open();
    await pass(1_010);
    const first = probe();
    first.unused();
    expect(asked).toBe(2);
    const second = probe();
    first.unused();
    expect([circuit.mayTry, asked]).toEqual([false, 2]);
    second.unused();
    expect([circuit.mayTry, asked]).toEqual([true, 3]);
  });

  it('learns nothing from an answer to what was asked before it opened', async () => {
    const [early, late] = [circuit.begin(false), circuit.begin(false)];
    await pass(10);
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      if (id === 'd') early.answered();
      fail(id);
    }
    expect(circuit.isOpen).toBe(true);
    late.answered();
    expect(circuit.isOpen).toBe(true);
  });

  it('lets another one try when the first is silent for long, and hears the first all the same', async () => {
    open();
    await pass(1_010);
    const first = probe();
    await pass(14_900);
    expect(circuit.mayTry).toBe(false);
    await pass(200);
    const second = probe();
    first.answered();
    expect(circuit.isOpen).toBe(false);
    second.answered();
    expect(closed).toBe(1);
  });

  it('lets a job that was never tried do so beside one that is silent, every two seconds', async () => {
    open();
    await pass(1_010);
    probe();
    for (let n = 0; n < 3; n++) {
      asked = 0;
      await pass(1_900);
      expect([circuit.mayTryAfresh, asked]).toEqual([false, 0]);
      await pass(200);
      expect([circuit.mayTry, circuit.mayTryAfresh, asked]).toEqual([false, true, 1]);
      circuit.begin(true);
    }
  });

  it('stays open longer each time it opens right after it closed, until there is peace', async () => {
    for (const [n, ms] of [1_000, 2_000, 4_000, 8_000, 15_000].entries()) {
      for (const id of ['a', 'b', 'c', 'd', 'e']) fail(`${id}${n}`);
      expect(opened.at(-1)).toBe(ms);
      await pass(ms + 10);
      probe().answered();
    }
    await pass(21_000);
    ['v', 'w', 'x', 'y', 'z'].forEach((id) => fail(id));
    expect(opened.at(-1)).toBe(1_000);
  });

  it('begins few at first after an outage, and one more with each answer', async () => {
    expect(circuit.room()).toBe(Infinity);
    open();
    await pass(1_010);
    probe().answered();
    expect(circuit.room()).toBe(FIRST_AFTER_OUTAGE);
    let under = Array.from({ length: FIRST_AFTER_OUTAGE }, () => circuit.begin(false));
    const calls: number[] = [];
    while (circuit.room() === 0) {
      calls.push(under.length);
      asked = 0;
      for (const trial of under) trial.answered();
      expect(asked).toBeGreaterThan(0);
      under = circuit.room() === Infinity ? [] : Array.from({ length: circuit.room() }, () => circuit.begin(false));
    }
    expect(calls).toEqual([2, 4, 8, 16]);
    expect(RAMP_ENDS_AT).toBe(32);
  });

  it('does not hold others back for as long as the first after an outage are silent', async () => {
    open();
    await pass(1_010);
    probe().answered();
    const silent = Array.from({ length: FIRST_AFTER_OUTAGE }, () => circuit.begin(false));
    asked = 0;
    await pass(900);
    expect([circuit.room(), asked]).toEqual([0, 0]);
    await pass(200);
    expect([circuit.room(), asked]).toEqual([FIRST_AFTER_OUTAGE, FIRST_AFTER_OUTAGE]);
    // The later ends of these attempts free no more room.
    silent.forEach((trial) => trial.unused());
    expect([circuit.room(), asked]).toEqual([FIRST_AFTER_OUTAGE, FIRST_AFTER_OUTAGE]);
  });

  it('does not hold attempts back for long where few come after an outage', async () => {
    open();
    await pass(1_010);
    probe().answered();
    await pass(21_000);
    expect(circuit.room()).toBe(Infinity);
  });

  describe('with a user whose turns fail while others are answered', () => {
    const bad = (n: number): boolean => fail(`bad ${n}`, AWAY, 'bad');

    it('opens for them once, and not again: a probe of somebody else shows that the model is there', async () => {
      for (let n = 0; n < 5; n++) expect(bad(n)).toBe(true);
      expect(circuit.isOpen).toBe(true);
      await pass(1_010);
      probe().answered();
      for (let round = 0; round < 3; round++) {
        for (let n = 0; n < 7; n++) expect(bad(n)).toBe(false);
        for (let n = 10; n < 40; n++) expect(bad(n)).toBe(false);
        await pass(5_000);
        answer();
      }
      expect([circuit.isOpen, opened]).toEqual([false, [1_000]]);
    });

    it('does so for an operator’s fault, too', async () => {
      expect(fail('bad 1', KEY, 'bad')).toBe(true);
      await pass(1_010);
      probe().answered();
      expect(fail('bad 1', KEY, 'bad')).toBe(false);
      expect(fail('bad 2', KEY, 'bad')).toBe(false);
      expect(circuit.isOpen).toBe(false);
    });

    it('opens for the shortest time where others are answered too seldom to tell, however often', async () => {
      for (let n = 0; n < 5; n++) bad(n);
      for (let round = 0; round < 4; round++) {
        await pass(1_010);
        probe().answered();
        await pass(5_000);
        for (let n = 0; n < 7; n++) expect(bad(n)).toBe(true);
      }
      expect(opened).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
    });

    it('counts them like any other in an outage that follows', async () => {
      for (let n = 0; n < 5; n++) bad(n);
      await pass(1_010);
      probe().answered();
      expect(bad(0)).toBe(false);
      await pass(3_100);
      for (const id of ['v', 'w', 'x', 'y']) fail(id);
      expect(bad(1)).toBe(true);
      expect([circuit.isOpen, opened.at(-1)]).toEqual([true, 2_000]);
      // A probe by a suspected user counts like any other, so the next probe does not follow at once.
      await pass(2_010);
      asked = 0;
      expect(probe().failed({ id: 'bad 2', userId: 'bad' }, AWAY)).toBe(true);
      expect([asked, circuit.mayTry, opened.at(-1)]).toEqual([0, false, 4_000]);
    });
  });

  it('closes by itself when nothing waits, so that nobody is called for what was mended long ago', async () => {
    fail('a', KEY);
    await pass(1_010);
    expect([circuit.mayTry, circuit.isOpen]).toEqual([true, true]);
    await pass(119_000);
    expect(circuit.isOpen).toBe(true);
    await pass(2_000);
    expect([circuit.isOpen, closed]).toEqual([false, 1]);
  });

  it('is forgotten when nothing of the past matters any more', async () => {
    expect(circuit.isIdle()).toBe(true);
    open();
    await pass(1_010);
    probe().answered();
    expect(circuit.isIdle()).toBe(false);
    await pass(90_000);
    expect(circuit.isIdle()).toBe(true);
  });
});
