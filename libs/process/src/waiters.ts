/** Those who wait for something to happen in this process, in the order they came. */
export class Waiters {
  private readonly waiting = new Set<() => void>();

  /** Resolves when it is its turn, or everybody's, or with `stop`. */
  wait(stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        stop.removeEventListener('abort', wake);
        resolve();
      };
      this.waiting.add(wake);
      stop.addEventListener('abort', wake);
      if (stop.aborted) wake();
    });
  }

  /** Wakes the one that has waited longest. */
  wakeFirst(): void {
    const [wake] = this.waiting;
    wake?.();
  }

  wakeAll(): void {
    for (const wake of this.waiting) wake();
  }
}
