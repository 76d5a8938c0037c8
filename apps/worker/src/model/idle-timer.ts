/**
 * Aborts when nothing has happened for `idleMs`, or after `totalMs` whatever happened. The SDK's own time-out ends
 * with the headers, so without this a stalled body would hang for ever.
 */
export class IdleTimer {
  private readonly controller = new AbortController();
  private idle: NodeJS.Timeout;
  private readonly total: NodeJS.Timeout;

  constructor(idleMs: number, totalMs: number) {
    this.idle = setTimeout(() => this.controller.abort(), idleMs);
    this.total = setTimeout(() => this.controller.abort(), totalMs);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Something happened. */
  touch(): void {
    this.idle.refresh();
  }

  /** All that matters has happened: `ms` milliseconds are left. */
  endIn(ms: number): void {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.controller.abort(), ms);
  }

  stop(): void {
    clearTimeout(this.idle);
    clearTimeout(this.total);
  }
}
