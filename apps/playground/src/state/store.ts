import { useLayoutEffect, useState } from 'preact/hooks';

/** A value that tells when it changes. */
export class Store<T> {
  private readonly listeners = new Set<() => void>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of [...this.listeners]) listener();
  }

  /** Changes some fields of a value that is an object. */
  patch(change: Partial<T>): void {
    this.set({ ...this.value, ...change });
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** A store's value; whoever asks is drawn anew when it changes. */
export function useStore<T>(store: Store<T>): T {
  const [, redraw] = useState(0);
  const drawn = store.get();
  useLayoutEffect(() => {
    const listen = (): void => redraw((n) => n + 1);
    const leave = store.subscribe(listen);
    // It may have changed since it was drawn.
    if (!Object.is(drawn, store.get())) listen();
    return leave;
    // What was drawn later was drawn by this subscription.
  }, [store]);
  return drawn;
}
