/** Started parts, which are ended in the opposite order: at the end, on an error, or on a signal, whichever comes first. */
export class Started {
  private readonly stops: (() => Promise<unknown>)[] = [];
  private stopping: Promise<void> | undefined;

  /** Adds a function that ends a part. It is called at once if the rest has ended already. */
  push(stop: () => Promise<unknown>): void {
    if (this.stopping === undefined) this.stops.push(stop);
    else void stop().catch(() => undefined);
  }

  /** Ends all parts. A second call waits for the same end. A part that cannot be ended does not keep the others. */
  stop(): Promise<void> {
    return (this.stopping ??= this.stopAll());
  }

  private async stopAll(): Promise<void> {
    for (const stop of this.stops.reverse()) {
      await stop().catch((error: unknown) => console.error('could not be ended:', error));
    }
  }
}
