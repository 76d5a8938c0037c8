/** Code in this process that waits for an event, in order of arrival. */
export class Waiters {
  private readonly waiting = new Set<() => void>();

  /** Resolves when this waiter is woken, or all are, or when `stop` aborts. */
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

  /** Wakes the waiter that has waited longest. */
  wakeFirst(): void {
    const [wake] = this.waiting;
    wake?.();
  }

  wakeAll(): void {
    for (const wake of this.waiting) wake();
  }
}
