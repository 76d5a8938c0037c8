import { DISPATCH_CHANNEL } from '#jobs/states.js';
import type { Listener } from './listener.js';

/**
 * Tells that attempts may be begun again after dispatch was paused. A hint, so that nobody waits until the reconciler looks by
 * itself: it is sent by the statement that changes the row, and the row decides.
 */
export class DispatchFeed {
  private resumed: () => void = () => undefined;

  constructor(listener: Listener) {
    listener.on(DISPATCH_CHANNEL, { heard: () => this.resumed(), missed: () => undefined });
  }

  /** Names the one who is told. */
  onResumed(resumed: () => void): void {
    this.resumed = resumed;
  }
}
