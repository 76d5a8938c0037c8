import { resolveUrl } from '#settings/named-variables.js';

/** Names the server of a tool for {@link CallSlots.take}: `scheme://host:port`, or the `url` itself if its variable has no value. */
export function originOf(url: string): string {
  try {
    return resolveUrl(url).origin;
  } catch {
    return url;
  }
}

interface Waiter {
  readonly origin: string;
  readonly begin: () => void;
}

/**
 * Bounds the calls of tools that a process has open at once. One origin has at most half of the slots, so that a server that hangs leaves
 * room for the others.
 */
export class CallSlots {
  private free: number;
  private readonly mostPerOrigin: number;
  private readonly takenBy = new Map<string, number>();
  /** In order of arrival. There are at most as many as attempts that may run, times the calls of one step. */
  private readonly waiting = new Set<Waiter>();

  /** @param atOnce slots in all, at least 1 */
  constructor(atOnce: number) {
    this.free = atOnce;
    this.mostPerOrigin = Math.max(1, Math.floor(atOnce / 2));
  }

  /** How many calls wait for a slot. */
  get waiters(): number {
    return this.waiting.size;
  }

  /**
   * Waits for a slot, in order of arrival. A call passes by those that wait for an origin without room.
   *
   * @param origin the server, see {@link originOf}
   * @returns a function that gives the slot back; a second call of it does nothing
   * @throws the signal's reason if it aborts before there is a slot
   */
  async take(origin: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (!this.hasRoom(origin)) await this.turnOf(origin, signal);
    else this.occupy(origin);
    let taken = true;
    return () => {
      if (!taken) return;
      taken = false;
      this.giveBack(origin);
    };
  }

  private hasRoom(origin: string): boolean {
    return this.free > 0 && (this.takenBy.get(origin) ?? 0) < this.mostPerOrigin;
  }

  private occupy(origin: string): void {
    this.free -= 1;
    this.takenBy.set(origin, (this.takenBy.get(origin) ?? 0) + 1);
  }

  private giveBack(origin: string): void {
    this.free += 1;
    const left = (this.takenBy.get(origin) ?? 0) - 1;
    if (left > 0) this.takenBy.set(origin, left);
    else this.takenBy.delete(origin);
    for (const waiter of this.waiting) {
      if (!this.hasRoom(waiter.origin)) continue;
      // The slot is taken for the waiter at once, before anybody else can ask for it.
      this.occupy(waiter.origin);
      waiter.begin();
      return;
    }
  }

  /** Resolves when the caller has a slot. */
  private turnOf(origin: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.waiting.delete(waiter);
        signal.removeEventListener('abort', giveUp);
      };
      const giveUp = (): void => {
        leave();
        reject(signal.reason);
      };
      const waiter: Waiter = {
        origin,
        begin: () => {
          leave();
          resolve();
        },
      };
      this.waiting.add(waiter);
      signal.addEventListener('abort', giveUp);
    });
  }
}
