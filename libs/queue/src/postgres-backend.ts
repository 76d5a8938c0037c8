import { createPostgresBackend, type PostgresQueueBackend } from 'bullmq';

/** BullMQ's promise to be ready. It keeps the first result for ever, even a failure. */
interface Ready {
  readyPromise: Promise<void> | undefined;
  waitUntilReady(): Promise<void>;
}

/** How long a worker waits for a notice before it looks by itself, in seconds. */
const LONGEST_BLOCK_SECONDS = 5;

/**
 * BullMQ's backend on PostgreSQL, with two changes.
 *
 * It does not remember a first connection that fails, because PostgreSQL restarts or has no connection to spare while a process starts.
 * BullMQ would refuse every question from then on, and its worker would spin until somebody restarts the process.
 *
 * It waits seconds for a notice. BullMQ's worker waits for up to an hour after an error and trusts that a lost connection wakes it. A
 * connection that is lost in the moment before the wait does not wake it.
 */
export const postgresBackend: typeof createPostgresBackend = (...args) => {
  const backend = createPostgresBackend(...args);
  const { connection } = backend as unknown as { connection: Ready };
  for (const part of [connection, backend as PostgresQueueBackend & Ready]) {
    const ready = part.waitUntilReady.bind(part);
    part.waitUntilReady = () =>
      ready().catch((error: unknown) => {
        part.readyPromise = undefined;
        throw error;
      });
  }
  Object.defineProperty(backend, 'maximumBlockTimeout', { value: LONGEST_BLOCK_SECONDS });
  return backend;
};
