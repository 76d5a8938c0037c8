/** Who follows what, by id. */
export class Listeners<T extends (...args: never[]) => void> {
  private readonly sets = new Map<string, Set<T>>();

  /** Adds a listener until the returned function is called. */
  add(id: string, listener: T): () => void {
    const set = this.sets.get(id) ?? new Set();
    this.sets.set(id, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0 && this.sets.get(id) === set) this.sets.delete(id);
    };
  }

  /** The listeners of an id at this moment. */
  of(id: string): readonly T[] {
    const set = this.sets.get(id);
    return set === undefined ? [] : [...set];
  }

  all(): readonly T[] {
    return [...this.sets.values()].flatMap((set) => [...set]);
  }
}
