import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** The time between two steps, in milliseconds, and how many times the longest step is added to a promise. */
const EVERY_MS = 100;
const GRANTED = 50;

/**
 * Works for two milliseconds at each message, on a thread of its own, so that the tested code slows it down only by using up the machine.
 */
const STEP = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', () => {
    let n = 1;
    for (let i = 0; i < 100_000; i += 1) n = (n * 48_271) % 2_147_483_647;
    parentPort.postMessage(n);
  });`;

/**
 * Measures how slow the machine is while a test waits. The service's promises in seconds assume a machine that runs. A test shares its
 * machine with other tests and programs, and the machine may stand still for as long as a promise lasts. So this times a step of work again
 * and again. A promise may take its own time and fifty times the longest step: a tenth of a second more on an idle machine, and seconds on
 * a very slow one.
 */
export class Pace {
  private readonly worker = new Worker(STEP, { eval: true });
  private begun = 0;
  private longest = 0;
  private timer: NodeJS.Timeout | undefined;
  private ended = false;

  private constructor() {}

  /** Begins to measure, once the thread of the steps has started. */
  static async watch(): Promise<Pace> {
    const pace = new Pace();
    pace.worker.postMessage(undefined);
    await once(pace.worker, 'message');
    pace.worker.unref();
    pace.worker.on('message', () => pace.taken());
    pace.step();
    return pace;
  }

  /** Ends the measurement. @returns how long a promise of `ms` may have taken during the measurement, in milliseconds */
  bound(ms: number): number {
    if (!this.ended) {
      this.ended = true;
      clearTimeout(this.timer);
      void this.worker.terminate();
      // The current step has already taken this long.
      this.longest = Math.max(this.longest, performance.now() - this.begun - EVERY_MS);
    }
    return ms + GRANTED * this.longest;
  }

  private step(): void {
    this.begun = performance.now();
    this.worker.postMessage(undefined);
  }

  private taken(): void {
    if (this.ended) return;
    this.longest = Math.max(this.longest, performance.now() - this.begun);
    this.timer = setTimeout(() => this.step(), EVERY_MS).unref();
  }
}
