import { DISPATCH_CHANNEL, HANDED_BACK } from '#jobs/states.js';
import type { PgNotifications } from './pg-notifications.js';

/**
 * Tells all workers that dispatch has resumed, or that a stopping worker handed a job back, so that none waits for the reconciler. The
 * notice is a hint, which the statement that changes the row sends. The row decides.
 */
export class DispatchFeed {
  private resumed: () => void = () => undefined;
  private handedBack: () => void = () => undefined;

  constructor(notifications: PgNotifications) {
    notifications.on(DISPATCH_CHANNEL, {
      received: (what) => (what === HANDED_BACK ? this.handedBack() : this.resumed()),
      missed: () => undefined,
    });
  }

  /** Sets the function that is called when dispatch has resumed. */
  onResumed(resumed: () => void): void {
    this.resumed = resumed;
  }

  /** Sets the function that is called when a job was handed back. */
  onHandedBack(handedBack: () => void): void {
    this.handedBack = handedBack;
  }
}
