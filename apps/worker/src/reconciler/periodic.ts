import { within } from '#process/within.js';
import { CLOSE_MS } from '#jobs/timings.js';

/** Work that a worker repeats until it stops, never twice at once. */
export class Periodic {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopping = false;

  /** @param pauseMs the mean pause, in milliseconds @param failed called when `work` fails, unless the worker stops */
  constructor(
    private readonly pauseMs: number,
    private readonly work: () => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  get isStopping(): boolean {
    return this.stopping;
  }

  start(): void {
    if (this.stopping) return;
    // Spread, so that many workers do not read at the same moment.
    this.timer = setTimeout(
      () => {
        this.running = this.workOnce().finally(() => this.start());
      },
      this.pauseMs * (0.75 + Math.random() / 2),
    );
  }

  /** Work that is under way should end soon. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.timer);
    // PostgreSQL may have fallen silent. It rolls back what it was asked last.
    await within(CLOSE_MS, this.running, undefined);
  }

  private async workOnce(): Promise<void> {
    try {
      await this.work();
    } catch (error) {
      // A process that stops closes the connections of what it no longer waits for.
      if (!this.stopping) this.failed(error);
    }
  }
}
