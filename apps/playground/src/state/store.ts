import { useLayoutEffect, useState } from 'preact/hooks';

/** A value that calls its listeners when it changes. */
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

  /** Changes some fields of an object value. */
  patch(change: Partial<T>): void {
    this.set({ ...this.value, ...change });
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The value of a store. The component is drawn anew when it changes. */
export function useStore<T>(store: Store<T>): T {
  const [, redraw] = useState(0);
  const drawn = store.get();
  useLayoutEffect(() => {
    const listen = (): void => redraw((n) => n + 1);
    const leave = store.subscribe(listen);
    // The value may have changed since the component was drawn.
    if (!Object.is(drawn, store.get())) listen();
    return leave;
    // Later changes come by this subscription.
  }, [store]);
  return drawn;
}
