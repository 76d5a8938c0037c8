import { type ConnectionOptions, createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import { QUEUE_SCHEMA } from '#queue/connection.js';

/** The ceiling's queue: BullMQ as it comes, on the same store as the product's. */
export const QUEUE = 'ceiling';

/** What BullMQ connects to: Redis where there is one, else PostgreSQL. */
export function queueConnection(): ConnectionOptions {
  const { REDIS_URL, DATABASE_URL } = process.env;
  if (REDIS_URL !== undefined) return { url: REDIS_URL, maxRetriesPerRequest: null };
  setDefaultBackendFactory(createPostgresBackend);
  // BullMQ types this option for Redis only; its PostgreSQL backend takes pg's.
  return { connectionString: DATABASE_URL, schema: QUEUE_SCHEMA, max: 4, application_name: 'ceiling-queue' };
}
