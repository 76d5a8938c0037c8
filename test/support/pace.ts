import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** How often to look, and how many times what was found is granted on top of a promise. */
const EVERY_MS = 100;
const GRANTED = 50;

/** Two milliseconds of work at each word, on a thread of its own: nothing of what is tested makes it slower, unless it takes the machine. */
const STEP = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', () => {
    let n = 1;
    for (let i = 0; i < 100_000; i += 1) n = (n * 48_271) % 2_147_483_647;
    parentPort.postMessage(n);
  });`;

/**
 * What the machine gives while something is awaited. The service's promises in seconds are of a machine that runs; tests share theirs
 * with one another and with whatever else is on it, and it may stand still for as long as a promise lasts. So a step of work is
 * timed again and again meanwhile, and a promise is held to its own time and fifty of the longest step: about a tenth of a second more
 * on a machine at rest, and seconds where everything takes seconds.
 */
export class Pace {
  private readonly worker = new Worker(STEP, { eval: true });
  private begun = 0;
  private longest = 0;
  private timer: NodeJS.Timeout | undefined;
  private ended = false;

  private constructor() {}

  /** Begins to watch, once the thread that takes the steps is there: to start it is work, too, and no part of what is awaited. */
  static async watch(): Promise<Pace> {
    const pace = new Pace();
    pace.worker.postMessage(undefined);
    await once(pace.worker, 'message');
    pace.worker.unref();
    pace.worker.on('message', () => pace.taken());
    pace.step();
    return pace;
  }

  /** Ends the watch. @returns the time that a promise of `ms` may have taken meanwhile, in milliseconds */
  bound(ms: number): number {
    if (!this.ended) {
      this.ended = true;
      clearTimeout(this.timer);
      void this.worker.terminate();
      // A step that is under way has taken that long already.
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
