/**
 * Lets so many attempts begin at the same time, in the order they came. A worker with a thousand slots takes a thousand tickets at
 * once; each would wait for a connection longer than is waited for one, some with their job claimed already.
 */
export class Entrance {
  private inside = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly most: number) {}

  /** Waits until one may begin. @returns to be called once it has begun, or will not; more than once does nothing */
  async enter(): Promise<() => void> {
    if (this.inside < this.most) this.inside += 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.waiting.shift();
      // Whoever comes next takes the place over.
      if (next === undefined) this.inside -= 1;
      else next();
    };
  }
}
