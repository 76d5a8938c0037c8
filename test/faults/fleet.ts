import { pricedAssistants } from '../support/priced-assistants.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';
import { steadyPort } from '../support/steady-port.js';
import { until } from '../support/until.js';

const APIS = 2;
const WORKERS = 3;

/** How long an app may take to come back while its stores are away, in milliseconds. */
const BACK_MS = 60_000;

/** How many lines of an app's log are shown after a wrong answer, and after an unexpected end. */
const STACK_LINES = 10;
const LAST_LINES = 50;

/**
 * The stand-in's replies of about thirty words: a name that a turn's text contains, and the pause before each word in milliseconds. A long
 * reply takes longer than the time between two heartbeats, so its draft is stored meanwhile.
 */
export const PACES = { brisk: 10, even: 20, slow: 33, long: 110 } as const;

/**
 * Budgets that no run exhausts: turns reserve, and all that they reserved must be free in the end. The instructions are long enough for the
 * model's cache.
 */
export const BUDGETED = { support: { cost_per_day: 1_000_000, system_prompt: 'Help. '.repeat(4_000) } };
const ROOMY = { USER_TOKENS_PER_DAY: '1000000000', USER_COST_PER_DAY: '1000000' };

/** A stack of several APIs and workers, with stores of its own. Each app has a slot, in which it can be replaced. */
export class Fleet {
  /** Apps that have ended, for their logs. */
  private readonly ended: App[] = [];

  private constructor(
    readonly stack: Stack,
    readonly apis: App[],
    readonly workers: App[],
    /** The addresses of the APIs, whether they run or not. */
    readonly urls: readonly string[],
    private readonly interrupted: AbortSignal | undefined,
  ) {}

  /** Once `interrupted` is aborted, apps that have ended are not replaced. */
  static async start(interrupted?: AbortSignal, env: Record<string, string> = {}): Promise<Fleet> {
    const stack = await startStack({
      ownPostgres: true,
      workers: WORKERS,
      env: { PORT: String(await steadyPort()), ASSISTANTS_FILE: await pricedAssistants(BUDGETED), ...ROOMY, ...env },
    });
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

  /** Puts a new app into the slot of one that has ended. Tries again and again, as a supervisor does. */
  async replace(slots: App[], slot: number): Promise<void> {
    const gone = at(slots, slot);
    this.ended.push(gone);
    slots[slot] = await until(
      () => (this.interrupted?.aborted ? Promise.resolve(gone) : this.stack.again(gone).catch(() => undefined)),
      `an app in the place of ${gone.url}`,
      BACK_MS,
    );
  }

  /** The apps that ended by themselves, in words. */
  crashed(): string[] {
    return [...this.apis, ...this.workers]
      .filter(({ process }) => process.exitCode !== null || process.signalCode !== null)
      .map((app) => {
        const last = app.output().trim().split('\n').slice(-LAST_LINES).join('\n');
        return `the app at ${app.url} ended by itself with ${app.process.exitCode ?? app.process.signalCode}:\n${last}`;
      });
  }

  /** The lines about a request in the apps' logs, each with the stack trace after it. */
  linesOf(requestId: string): string[] {
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
