import type { ConnectionOptions } from 'bullmq';

/** The one queue. */
export const REPLY_QUEUE = 'assistant-reply';

/** Prefix of all keys in Redis; the braces keep them in one slot of a Redis Cluster. */
export const QUEUE_PREFIX = '{rejoinder}';

/** Where BullMQ keeps its tables when it runs on PostgreSQL. */
export const QUEUE_SCHEMA = 'bullmq';

export interface QueueStore {
  readonly databaseUrl: string;
  /** Unset: the queue is on PostgreSQL. */
  readonly redisUrl: string | undefined;
}

/**
 * What BullMQ connects to, for producers and workers alike.
 *
 * `forProducer`: a request must not hang while the store is away, so commands fail at once instead of
 * queueing up; a worker, on the other hand, waits for its store for ever (BullMQ demands that of Redis).
 */
export function queueConnection(store: QueueStore, role: 'producer' | 'worker'): ConnectionOptions {
  if (store.redisUrl !== undefined) {
    const producer = role === 'producer';
    return {
      url: store.redisUrl,
      enableOfflineQueue: !producer,
      maxRetriesPerRequest: producer ? 1 : null,
      connectTimeout: 5_000,
      // A connection that owes an answer and has fallen silent is made anew. A worker's wait for a ticket lasts up to 10 s.
      socketTimeout: producer ? 5_000 : 20_000,
      keepAlive: 10_000,
      retryStrategy: (tries: number) => Math.min(tries * 100, 2_000),
    };
  }
  return {
    connectionString: store.databaseUrl,
    schema: QUEUE_SCHEMA,
    max: 4,
    application_name: `rejoinder-queue-${role}`,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 10_000,
    // The server's time-out is of no help when it is the server, or the way to it, that hangs.
    query_timeout: 12_000,
    keepAlive: true,
  }; // BullMQ types this option for Redis only; its PostgreSQL backend takes pg's.
}
