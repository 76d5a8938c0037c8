import { join } from 'node:path';
import { outside } from './outside.js';

const { EVERY_MS, watch, unwatch, lastBegun } = await outside<typeof import('./steps-of-work.js')>(
  join(import.meta.dirname, 'steps-of-work.js'),
);

/** How many times the longest step is added to a promise. */
const GRANTED = 50;

/**
 * Measures how slow the machine is while a test waits. The service's promises in seconds assume a machine that runs. A test shares its
 * machine with other tests and programs, and the machine may stand still for as long as a promise lasts. So this times a step of work again
 * and again. A promise may take its own time and fifty times the longest step: a tenth of a second more on an idle machine, and seconds on
 * a very slow one.
 */
export class Pace {
  private readonly begun = performance.now();
  private longest = 0;
  private ended = false;
  private readonly taken = (begun: number): void => {
    this.longest = Math.max(this.longest, this.since(begun));
  };

  private constructor() {}

  /** Begins to measure. */
  static async watch(): Promise<Pace> {
    const pace = new Pace();
    await watch(pace.taken);
    return pace;
  }

  /** Ends the measurement. @returns how long a promise of `ms` may have taken during the measurement, in milliseconds */
  bound(ms: number): number {
    if (!this.ended) {
      this.ended = true;
      unwatch(this.taken);
      // The current step has already taken this long.
      this.longest = Math.max(this.longest, this.since(lastBegun()) - EVERY_MS);
    }
    return ms + GRANTED * this.longest;
  }

  /** The part of a step that has passed since the measurement began, in milliseconds. */
  private since(begun: number): number {
    return performance.now() - Math.max(begun, this.begun);
  }
}
