/** Why a call was given up. `silent`: no byte came for too long. `endless`: it took too long in all. */
export type GivenUp = 'silent' | 'endless';

/**
 * Aborts a call when no byte has come for `idleMs`, after `totalMs` in any case, and when `outer` aborts. The SDK's own time-out covers the
 * headers only, so a stalled body would hang for ever without this.
 *
 * This object holds the timers and the controller, signals do not: on Node 20 `AbortSignal.any` holds its sources only weakly, and the
 * garbage collector would remove the time-out while a body is awaited.
 */
export class CallTimer {
  private readonly controller = new AbortController();
  private idle: NodeJS.Timeout;
  private readonly total: NodeJS.Timeout;
  private ending = false;
  private readonly stopped = (): void => this.controller.abort(this.outer.reason);
  /** Why the call was given up; undefined: it was not given up, or it was stopped from outside. */
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

  /** Notes that a byte has arrived. */
  touch(): void {
    if (!this.ending) this.idle.refresh();
  }

  /** Notes that the message is complete: the rest of the body has `ms` milliseconds. */
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
