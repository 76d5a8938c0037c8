import type { ConnectionOptions } from 'bullmq';
import type { PoolConfig } from 'pg';
import type { SessionOptions } from '#database/session-client.js';
import { examineRedis } from './redis-examination.js';
import { redisQueueConnection } from './redis-queue-client.js';

/** The name of the queue. */
export const REPLY_QUEUE = 'assistant-reply';

/** Prefix of all keys in Redis. The braces keep them in one slot of a Redis Cluster. */
export const QUEUE_PREFIX = '{rejoinder}';

/** Where BullMQ keeps its tables when it runs on PostgreSQL. */
export const QUEUE_SCHEMA = 'bullmq';

export interface QueueStore {
  readonly databaseUrl: string;
  /** Undefined: the queue is on PostgreSQL. */
  readonly redisUrl: string | undefined;
}

/**
 * BullMQ's connection, for producers and workers. A producer's commands fail at once while the store is away, since a request must not
 * hang. A worker waits for its store for ever, as BullMQ demands on Redis.
 */
export function queueConnection(store: QueueStore, role: 'producer' | 'worker'): ConnectionOptions {
  if (store.redisUrl !== undefined) {
    return redisQueueConnection(store.redisUrl, role, (redis) => void examineRedis(redis, QUEUE_PREFIX));
  }
  const options: SessionOptions<PoolConfig> = {
    connectionString: store.databaseUrl,
    // Four connections for statements, and one that listens.
    max: 5,
    // Even for a busy connection: after a failover the address may lead to another server.
    maxLifetimeSeconds: 60,
    application_name: `rejoinder-queue-${role}`,
    connectionTimeoutMillis: 5_000,
    session: {
      statement_timeout: 10_000,
      lock_timeout: 5_000,
      idle_in_transaction_session_timeout: 15_000,
      schema: QUEUE_SCHEMA,
    },
    // The server's time-outs do not help when the server, or the way to it, hangs.
    query_timeout: 12_000,
    keepAlive: true,
  };
  // BullMQ types this option for Redis only: `postgresBackend` makes a pool of it.
  return options;
}
