import { timeLimit } from '#process/time-limit.js';
import { type McpAddress, McpConnection } from './connection.js';
import { McpServerAway } from './server-away.js';
import { untilAborted } from './until-aborted.js';

/** Longest time until a connection is ready, in milliseconds. */
const OPENING_MS = 30_000;

/** How connections are kept. */
export interface Keeping {
  /** How long an unused connection is kept, in milliseconds. */
  readonly idleMs: number;
  /** Most connections that are kept. */
  readonly most: number;
  readonly fetch: typeof globalThis.fetch;
}

const DEFAULTS: Keeping = { idleMs: 5 * 60_000, most: 50, fetch: (input, init) => globalThis.fetch(input, init) };

/** A connection that is kept, or is being opened. */
interface Kept {
  readonly ready: Promise<McpConnection>;
  users: number;
  /** It is not given out any more, and closes after its last use. */
  retired: boolean;
  idle: NodeJS.Timeout | undefined;
  /** Gives the opening up; undefined: it is open, or has failed. */
  giveUp: (() => void) | undefined;
}

/** Connections to MCP servers, one for each address with its headers. So a call need not ask for the protocol or begin a session. */
export class McpConnections {
  readonly #keeping: Keeping;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Kept>();
  readonly #stop = new AbortController();

  constructor(keeping: Partial<Keeping> = {}) {
    this.#keeping = { ...DEFAULTS, ...keeping };
  }

  /** How many connections are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * Does `work` with a connection. If the server no longer knows the session of a kept one, the request has not run, and `work` runs once
   * again with a new connection.
   *
   * @throws what `work` throws; McpServerAway when there is no connection; the signal's reason, as soon as it aborts
   */
  async use<T>(address: McpAddress, signal: AbortSignal, work: (connection: McpConnection) => Promise<T>): Promise<T> {
    const key = JSON.stringify([address.url, Object.entries(address.headers).sort()]);
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      try {
        return await this.#with(key, kept, signal, work);
      } catch (error) {
        if (!(error instanceof McpServerAway && error.forgotten)) throw error;
      }
    }
    // Another call may have opened it meanwhile.
    return this.#with(key, this.#kept.get(key) ?? this.#open(key, address), signal, work);
  }

  /** Closes all connections. None is opened any more. */
  close(): void {
    this.#stop.abort(new McpServerAway('The process stops.'));
    for (const [key, kept] of this.#kept) this.#retire(key, kept, true);
  }

  async #with<T>(
    key: string,
    kept: Kept,
    signal: AbortSignal,
    work: (connection: McpConnection) => Promise<T>,
  ): Promise<T> {
    kept.users += 1;
    clearTimeout(kept.idle);
    if (this.#kept.get(key) === kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
    }
    try {
      return await work(await untilAborted(kept.ready, signal));
    } catch (error) {
      // Whatever happened to it, the next call begins anew.
      if (error instanceof McpServerAway) this.#retire(key, kept);
      throw error;
    } finally {
      kept.users -= 1;
      if (kept.users === 0 && (kept.retired || kept.giveUp !== undefined)) this.#retire(key, kept);
      else if (kept.users === 0) kept.idle = setTimeout(() => this.#retire(key, kept), this.#keeping.idleMs).unref();
    }
  }

  #open(key: string, address: McpAddress): Kept {
    const left = new AbortController();
    const limit = timeLimit(OPENING_MS, this.#stop.signal, left.signal);
    const ready = McpConnection.open(address, this.#keeping.fetch, limit.signal);
    const kept: Kept = { ready, users: 0, retired: false, idle: undefined, giveUp: () => left.abort() };
    const opened = (): void => {
      limit.release();
      kept.giveUp = undefined;
    };
    ready.then(opened, () => {
      opened();
      this.#retire(key, kept);
    });
    this.#kept.set(key, kept);
    for (const [other, { users }] of this.#kept) {
      if (this.#kept.size <= this.#keeping.most) break;
      if (users === 0 && other !== key) this.#retire(other, this.#kept.get(other) as Kept);
    }
    // All others are in use: this one lives as long as its calls.
    if (this.#kept.size > this.#keeping.most) this.#retire(key, kept, false);
    return kept;
  }

  /** Gives the connection out no more, and closes it as soon as nobody uses it, or at once. */
  #retire(key: string, kept: Kept, atOnce = kept.users === 0): void {
    if (this.#kept.get(key) === kept) this.#kept.delete(key);
    clearTimeout(kept.idle);
    kept.retired = true;
    if (!atOnce) return;
    kept.giveUp?.();
    kept.ready.then(
      (connection) => connection.close(),
      () => undefined,
    );
  }
}
