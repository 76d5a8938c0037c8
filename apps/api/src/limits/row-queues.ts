import { ServiceError } from '#errors/service-error.js';

/** The rows that a request locks: a chat's, a job's (and with it its chat's), and its user's. */
export interface LockedRows {
  readonly chat?: string;
  readonly job?: string;
  readonly user?: string;
}

/** Each request enters the queues in this order, so that two requests never wait for each other. */
const ORDER = ['chat', 'job', 'user'] as const;

/** The share of the pool's connections that requests with row locks may hold at once. The rest is for requests that only read. */
const SHARE = 0.8;

/** How long requests wait, in milliseconds. */
export interface Waits {
  /** The longest wait: as long as for a connection. */
  readonly longest: number;
  /** After this wait, another request's failure to get the lock counts for this one, too: nearly as long as PostgreSQL waits for a lock. */
  readonly vain: number;
}

const WAITS: Waits = { longest: 10_000, vain: 1_500 };

/** PostgreSQL's state for a statement that did not get its lock. */
const LOCK_NOT_AVAILABLE = '55P03';

interface Waiter {
  readonly since: number;
  readonly begin: () => void;
  readonly refuse: (error: unknown) => void;
}

/** A number of places, and the requests that wait for one, in order of arrival. */
class Queue {
  private taken = 0;
  private readonly waiting = new Set<Waiter>();

  constructor(private readonly places: number) {}

  get idle(): boolean {
    return this.taken === 0;
  }

  /** Takes a place, now or when one is free. @throws ServiceError `unavailable` at the deadline, or the error given to {@link refuse} */
  async enter(deadline: number): Promise<void> {
    if (this.taken < this.places) {
      this.taken += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const done = (then: () => void): void => {
        clearTimeout(timer);
        this.waiting.delete(waiter);
        then();
      };
      const since = performance.now();
      const waiter: Waiter = { since, begin: () => done(resolve), refuse: (error) => done(() => reject(error)) };
      const timer = setTimeout(() => waiter.refuse(busy()), Math.max(0, deadline - performance.now())).unref();
      this.waiting.add(waiter);
    });
  }

  /** Gives a place back, or to the request that has waited longest. */
  leave(): void {
    const [next] = this.waiting;
    if (next === undefined) this.taken -= 1;
    else next.begin();
  }

  /** Refuses the requests that entered before `before`. */
  refuse(error: unknown, before: number): void {
    for (const waiter of this.waiting) if (waiter.since <= before) waiter.refuse(error);
  }
}

/**
 * Lets requests for the same row wait in this process, where they hold no connection. One of them is in the database, the others wait
 * behind it. Otherwise the requests for one locked row could use up the pool, and all other requests would wait for a connection.
 *
 * The statements lock a user's row before the chat's, so a request that waits for a chat delays all others of its user. Therefore users
 * have queues, too.
 */
export class RowQueues {
  private readonly queues = new Map<string, Queue>();
  private readonly connections: Queue;

  constructor(
    poolSize: number,
    private readonly waits = WAITS,
  ) {
    this.connections = new Queue(Math.max(1, Math.floor(poolSize * SHARE)));
  }

  /**
   * Runs a write once no other request of this process locks its rows. When a request does not get its lock, the requests that have waited
   * behind it for as long are refused as well: in the database they would have failed with it. @throws ServiceError `unavailable`, or what
   * the write throws
   */
  async run<T>(rows: LockedRows, write: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.waits.longest;
    const entered: (readonly [name: string, queue: Queue])[] = [];
    try {
      for (const kind of ORDER) {
        if (rows[kind] === undefined) continue;
        const name = `${kind} ${rows[kind]}`;
        const queue = this.queues.get(name) ?? new Queue(1);
        this.queues.set(name, queue);
        await queue.enter(deadline);
        entered.push([name, queue]);
      }
      await this.connections.enter(deadline);
      try {
        return await write();
      } finally {
        this.connections.leave();
      }
    } catch (error) {
      // Only the first queue refuses its requests: those that wait only for the same user write into other chats.
      if (waitedInVain(error)) entered[0]?.[1].refuse(error, performance.now() - this.waits.vain);
      throw error;
    } finally {
      for (const [name, queue] of entered.reverse()) {
        queue.leave();
        if (queue.idle) this.queues.delete(name);
      }
    }
  }
}

function waitedInVain(error: unknown): boolean {
  const { code, driverError } = error as { code?: unknown; driverError?: { code?: unknown } };
  return code === LOCK_NOT_AVAILABLE || driverError?.code === LOCK_NOT_AVAILABLE;
}

function busy(): ServiceError {
  return new ServiceError('unavailable', 'Too many requests wait to write into the same chat.', {
    headers: { 'retry-after': '2' },
  });
}
