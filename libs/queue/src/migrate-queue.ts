import { runMigrations } from 'bullmq';
import { SessionClient } from '#database/session-client.js';
import { startFault } from '#database/unreachable.js';
import { QUEUE_SCHEMA } from './connection.js';

const LONGEST_CONNECTION_WAIT_MS = 10_000;

/** Brings BullMQ's own tables (schema `bullmq`) up to date. It waits at most `lockWaitMs` for each lock (0: for ever). */
export async function migrateQueue(databaseUrl: string, lockWaitMs = 0): Promise<void> {
  const client = new SessionClient({
    connectionString: databaseUrl,
    application_name: 'rejoinder-migrate',
    connectionTimeoutMillis: LONGEST_CONNECTION_WAIT_MS,
    keepAlive: true,
    session: { lock_timeout: lockWaitMs, schema: QUEUE_SCHEMA },
  });
  try {
    await client.connect();
  } catch (cause) {
    throw startFault(databaseUrl, cause);
  }
  try {
    await runMigrations(client, QUEUE_SCHEMA);
  } finally {
    await client.end();
  }
}
