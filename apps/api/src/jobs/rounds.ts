/** Parts of a round. */
const PARTS = 100;

/**
 * Visits each of its members once a round, a few at a time. Ten thousand visits at once would keep every request waiting, and make all
 * their garbage at once, too.
 */
export class Rounds<T> {
  private readonly parts = Array.from({ length: PARTS }, () => new Set<T>());
  private readonly timer: NodeJS.Timeout;
  private joined = 0;
  private part = 0;

  /** @param roundMs how long a round takes, in milliseconds */
  constructor(
    roundMs: number,
    private readonly visit: (member: T) => void,
  ) {
    this.timer = setInterval(() => this.visitPart(), roundMs / PARTS).unref();
  }

  /** Adds a member, whose first visit comes within a round. @returns removes it */
  add(member: T): () => void {
    const part = this.partAt(this.joined++);
    part.add(member);
    return () => void part.delete(member);
  }

  /** How many members there are. */
  get size(): number {
    return this.parts.reduce((sum, part) => sum + part.size, 0);
  }

  /** The current members. */
  members(): readonly T[] {
    return this.parts.flatMap((part) => [...part]);
  }

  /** Ends all visits. */
  stop(): void {
    clearInterval(this.timer);
  }

  private visitPart(): void {
    for (const member of this.partAt(this.part++)) this.visit(member);
  }

  private partAt(n: number): Set<T> {
    return this.parts[n % PARTS] as Set<T>;
  }
}
