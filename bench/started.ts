/** What was started, to be ended in the opposite order: at the end, on an error, or on a signal, whichever comes first. */
export class Started {
  private readonly stops: (() => Promise<unknown>)[] = [];
  private stopping: Promise<void> | undefined;

  /** Notes how to end something; ended at once, if all the rest was already. */
  push(stop: () => Promise<unknown>): void {
    if (this.stopping === undefined) this.stops.push(stop);
    else void stop().catch(() => undefined);
  }

  /** Ends all that there is; whoever asks again waits for the same end. One that cannot be ended does not keep the others. */
  stop(): Promise<void> {
    return (this.stopping ??= this.stopAll());
  }

  private async stopAll(): Promise<void> {
    for (const stop of this.stops.reverse()) {
      await stop().catch((error: unknown) => console.error('could not be ended:', error));
    }
  }
}
