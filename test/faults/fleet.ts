import type { App } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';
import { steadyPort } from '../support/steady-port.js';
import { until } from '../support/until.js';

const APIS = 2;
const WORKERS = 3;

/** Longest time an app gets to come back, its stores being away meanwhile, in milliseconds. */
const BACK_MS = 60_000;

/** Lines of an app's log that are told when it answered wrongly, and when it ended. */
const STACK_LINES = 10;
const LAST_LINES = 50;

/**
 * How the stand-in writes some thirty words: the name in a turn's text, and the silence before each word in milliseconds. A long
 * reply lasts beyond a worker's heartbeat, and its draft is in the row meanwhile.
 */
export const PACES = { brisk: 10, even: 20, slow: 33, long: 110 } as const;

/** A stack of several APIs and workers with stores of its own, each app in a slot that outlives it. */
export class Fleet {
  /** The apps that are no more, for what they said. */
  private readonly ended: App[] = [];

  private constructor(
    readonly stack: Stack,
    readonly apis: App[],
    readonly workers: App[],
    /** Where the APIs are, whether they run or not. */
    readonly urls: readonly string[],
    private readonly interrupted: AbortSignal | undefined,
  ) {}

  /** `interrupted`: once it is aborted, nothing that has ended is replaced any more. */
  static async start(interrupted?: AbortSignal): Promise<Fleet> {
    const stack = await startStack({ ownPostgres: true, workers: WORKERS, env: { PORT: String(await steadyPort()) } });
    try {
      const apis = [stack.api];
      while (apis.length < APIS) apis.push(await stack.startApi({ PORT: String(await steadyPort()) }));
      for (const [pace, piece_delay_ms] of Object.entries(PACES)) await stack.model.script(pace, { piece_delay_ms });
      return new Fleet(
        stack,
        apis,
        [...stack.workers],
        apis.map(({ url }) => url),
        interrupted,
      );
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  /** Puts a new app into the slot of one that has ended, as whoever watches over processes does: again and again. */
  async replace(slots: App[], slot: number): Promise<void> {
    const gone = at(slots, slot);
    this.ended.push(gone);
    slots[slot] = await until(
      () => (this.interrupted?.aborted ? Promise.resolve(gone) : this.stack.again(gone).catch(() => undefined)),
      `an app in the place of ${gone.url}`,
      BACK_MS,
    );
  }

  /** The apps that ended though nobody ended them, in words. */
  crashed(): string[] {
    return [...this.apis, ...this.workers]
      .filter(({ process }) => process.exitCode !== null || process.signalCode !== null)
      .map((app) => {
        const last = app.output().trim().split('\n').slice(-LAST_LINES).join('\n');
        return `the app at ${app.url} ended by itself with ${app.process.exitCode ?? app.process.signalCode}:\n${last}`;
      });
  }

  /** What the apps' logs say of a request, and what follows that: its stack, if there is one. */
  said(requestId: string): string[] {
    return [...this.ended, ...this.apis, ...this.workers].flatMap((app) => {
      const lines = app.output().split('\n');
      const found = lines.findIndex((line) => line.includes(requestId));
      return found < 0 ? [] : lines.slice(found, found + STACK_LINES);
    });
  }

  stop(): Promise<void> {
    return this.stack.stop();
  }
}

/** The app in a slot. */
export function at(slots: readonly App[], slot: number): App {
  const app = slots[slot];
  if (app === undefined) throw new Error(`There is no slot ${slot}.`);
  return app;
}
