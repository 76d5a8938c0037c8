import { Redis } from 'ioredis';
import type { Stack } from './stack.js';

type AppKind = 'api' | 'worker';

/** The connections of a stack's processes that carry the text of replies, on either queue store. */
export class FeedConnections {
  private constructor(
    private readonly stack: Stack,
    /** Connects to the stack's Redis directly. */
    readonly redis: Redis | undefined,
  ) {}

  static of(stack: Stack): FeedConnections {
    if (stack.redis === undefined) return new FeedConnections(stack, undefined);
    const redis = new Redis(stack.redis.url, { maxRetriesPerRequest: null });
    redis.on('error', () => undefined); // tests stop it on purpose
    return new FeedConnections(stack, redis);
  }

  /** The current connections, of processes of one kind or of all. Each has an id that is never used again. */
  async list(kind?: AppKind, part: 'hears' | 'says' | undefined = undefined): Promise<number[]> {
    if (this.redis === undefined) {
      const { rows } = await this.stack.database.query(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE $1`,
        [`rejoinder-${kind ?? '%'}-feed`],
      );
      return rows.map(({ pid }) => pid as number);
    }
    const name = new RegExp(`^id=(\\d+) .* name=rejoinder-${kind ?? '\\w+'}-feed-${part ?? '\\w+'} `);
    const clients = String(await this.redis.client('LIST')).split('\n');
    return clients
      .map((line) => name.exec(line)?.[1])
      .filter((id) => id !== undefined)
      .map(Number);
  }

  /** Cuts the current connections. @returns how many */
  async cut(kind?: AppKind, part?: 'hears' | 'says'): Promise<number> {
    const ids = await this.list(kind, part);
    if (this.redis === undefined) {
      await this.stack.database.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [ids]);
    } else {
      for (const id of ids) await this.redis.client('KILL', 'ID', id);
    }
    return ids.length;
  }

  /** The jobs whose text some process has subscribed to. Only on Redis. */
  async subscribed(): Promise<string[]> {
    const channels = (await this.redis?.pubsub('CHANNELS', '*:pieces:*')) as string[];
    return channels.map((channel) => channel.split(':').at(-1) ?? '');
  }

  close(): void {
    this.redis?.disconnect();
  }
}
