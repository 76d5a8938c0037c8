/** Called when an id gets its first subscriber, and when it loses its last. */
export interface Interest {
  first(id: string): void;
  last(id: string): void;
}

/** Subscribers by id. */
export class Subscribers<T extends (...args: never[]) => void> {
  private readonly sets = new Map<string, Set<T>>();

  constructor(private readonly interest?: Interest) {}

  /** Adds a subscriber until the returned function is called. */
  add(id: string, subscriber: T): () => void {
    let set = this.sets.get(id);
    if (set === undefined) {
      set = new Set();
      this.sets.set(id, set);
      this.interest?.first(id);
    }
    const joined = set.add(subscriber);
    return () => {
      joined.delete(subscriber);
      if (joined.size > 0 || this.sets.get(id) !== joined) return;
      this.sets.delete(id);
      this.interest?.last(id);
    };
  }

  /** The current subscribers of an id. */
  of(id: string): readonly T[] {
    const set = this.sets.get(id);
    return set === undefined ? [] : [...set];
  }

  all(): readonly T[] {
    return [...this.sets.values()].flatMap((set) => [...set]);
  }
}
