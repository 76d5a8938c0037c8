import { type Asker, Counter } from './counter.js';
import { Relay } from './relay.js';

/** The addresses of the stores, as settings. */
export interface Stores {
  readonly DATABASE_URL: string;
  readonly REDIS_URL?: string;
}

/** Relays between processes and their stores, all with one counter. */
export class Relays {
  readonly counter = new Counter();
  private readonly all: Relay[] = [];

  /** @returns the settings with the relays' addresses in place of the stores' */
  async before(asker: Asker, { DATABASE_URL, REDIS_URL }: Stores): Promise<Record<string, string>> {
    const postgres = await this.start(DATABASE_URL, () => this.counter.postgres(asker));
    if (REDIS_URL === undefined) return { DATABASE_URL: postgres.url };
    const redis = await this.start(REDIS_URL, () => this.counter.redis(asker));
    return { DATABASE_URL: postgres.url, REDIS_URL: redis.url };
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((relay) => relay.stop()));
  }

  private async start(...[store, listen]: Parameters<typeof Relay.start>): Promise<Relay> {
    const relay = await Relay.start(store, listen);
    this.all.push(relay);
    return relay;
  }
}
