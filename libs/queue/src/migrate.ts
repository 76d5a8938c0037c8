import { runMigrations } from 'bullmq';
import pg from 'pg';
import { QUEUE_SCHEMA } from './connection.js';

/** Brings BullMQ's own tables (schema `bullmq`) up to date. It waits at most `lockWaitMs` for each lock (0: without end). */
export async function migrateQueue(databaseUrl: string, lockWaitMs = 0): Promise<void> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'rejoinder-migrate',
    lock_timeout: lockWaitMs,
  });
  await client.connect();
  try {
    await runMigrations(client, QUEUE_SCHEMA);
  } finally {
    await client.end();
  }
}
