/** A period visits this many groups of members, one after the other. */
const GROUPS = 100;

/**
 * Visits each member once a period, a few at a time. Ten thousand visits at once would delay all requests, and create much garbage at once.
 */
export class StaggeredTimer<T> {
  private readonly groups = Array.from({ length: GROUPS }, () => new Set<T>());
  private readonly timer: NodeJS.Timeout;
  private added = 0;
  private group = 0;

  /** @param periodMs the time between two visits of a member, in milliseconds */
  constructor(
    periodMs: number,
    private readonly visit: (member: T) => void,
  ) {
    this.timer = setInterval(() => this.visitGroup(), periodMs / GROUPS).unref();
  }

  /** Adds a member, whose first visit comes within a period. @returns removes it */
  add(member: T): () => void {
    const group = this.groupAt(this.added++);
    group.add(member);
    return () => void group.delete(member);
  }

  /** How many members there are. */
  get size(): number {
    return this.groups.reduce((sum, group) => sum + group.size, 0);
  }

  /** The current members. */
  members(): readonly T[] {
    return this.groups.flatMap((group) => [...group]);
  }

  /** Ends all visits. */
  stop(): void {
    clearInterval(this.timer);
  }

  private visitGroup(): void {
    for (const member of this.groupAt(this.group++)) this.visit(member);
  }

  private groupAt(n: number): Set<T> {
    return this.groups[n % GROUPS] as Set<T>;
  }
}
