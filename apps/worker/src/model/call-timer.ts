/** Why a call was given up: no byte came for too long, or it took too long in all. */
export type GivenUp = 'silent' | 'endless';

/**
 * Aborts a call when no byte has come for `idleMs`, after `totalMs` whatever has come, or when `outer` does. The SDK's own time-out ends
 * with the headers, so without this a stalled body would hang for ever.
 *
 * The timers and the controller are held by this object, not by signals: on Node 20 `AbortSignal.any` lets go of its sources, and a
 * collector that comes while a body is awaited would take the time-out with it.
 */
export class CallTimer {
  private readonly controller = new AbortController();
  private idle: NodeJS.Timeout;
  private readonly total: NodeJS.Timeout;
  private ending = false;
  private readonly stopped = (): void => this.controller.abort(this.outer.reason);
  /** Set when the call was given up, and not stopped from outside. */
  givenUp: GivenUp | undefined;

  constructor(
    idleMs: number,
    totalMs: number,
    private readonly outer: AbortSignal,
  ) {
    this.idle = setTimeout(() => this.giveUp('silent'), idleMs);
    this.total = setTimeout(() => this.giveUp('endless'), totalMs);
    if (outer.aborted) this.stopped();
    else outer.addEventListener('abort', this.stopped, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** A byte has come. */
  touch(): void {
    if (!this.ending) this.idle.refresh();
  }

  /** All that matters has come: `ms` milliseconds are left, whatever comes. */
  endIn(ms: number): void {
    this.ending = true;
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.giveUp('silent'), ms);
  }

  stop(): void {
    clearTimeout(this.idle);
    clearTimeout(this.total);
    this.outer.removeEventListener('abort', this.stopped);
  }

  private giveUp(why: GivenUp): void {
    if (this.controller.signal.aborted) return;
    this.givenUp = why;
    this.controller.abort();
  }
}
