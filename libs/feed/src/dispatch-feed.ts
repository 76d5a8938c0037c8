import { DISPATCH_CHANNEL } from '#jobs/states.js';
import type { Listener } from './listener.js';

/**
 * Tells workers that dispatch has resumed, so that none waits for the reconciler. It is a hint, sent by the statement that changes the row;
 * the row decides.
 */
export class DispatchFeed {
  private resumed: () => void = () => undefined;

  constructor(listener: Listener) {
    listener.on(DISPATCH_CHANNEL, { heard: () => this.resumed(), missed: () => undefined });
  }

  /** Sets the function that is called. */
  onResumed(resumed: () => void): void {
    this.resumed = resumed;
  }
}
