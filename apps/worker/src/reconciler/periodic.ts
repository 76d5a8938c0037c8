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
    // The pauses vary, so that many workers do not read at the same moment.
    this.timer = setTimeout(
      () => {
        this.running = this.workOnce().finally(() => this.start());
      },
      this.pauseMs * (0.75 + Math.random() / 2),
    );
  }

  /** Stops the repetition. Work that is under way should end soon. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.timer);
    // PostgreSQL may be silent. It rolls back the last statement when the connection closes.
    await within(CLOSE_MS, this.running, undefined);
  }

  private async workOnce(): Promise<void> {
    try {
      await this.work();
    } catch (error) {
      // A stopping process closes connections on which statements may still run, so they fail.
      if (!this.stopping) this.failed(error);
    }
  }
}
