import { type ConnectionOptions, createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import { QUEUE_SCHEMA } from '#queue/connection.js';

/** The ceiling's queue: BullMQ as it comes, on the same store as the product's. */
export const QUEUE = 'ceiling';

/** BullMQ's connection: to Redis if there is one, else to PostgreSQL. */
export function queueConnection(): ConnectionOptions {
  const { REDIS_URL, DATABASE_URL } = process.env;
  if (REDIS_URL !== undefined) return { url: REDIS_URL, maxRetriesPerRequest: null };
  setDefaultBackendFactory(createPostgresBackend);
  // BullMQ types this option for Redis only. Its PostgreSQL backend takes the options of `pg`.
  return { connectionString: DATABASE_URL, schema: QUEUE_SCHEMA, max: 4, application_name: 'ceiling-queue' };
}
