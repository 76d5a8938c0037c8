import { createPostgresBackend, type PostgresQueueBackend } from 'bullmq';

/** What BullMQ keeps of being ready: the first look's result, for ever, and be it a failure. */
interface Ready {
  readyPromise: Promise<void> | undefined;
  waitUntilReady(): Promise<void>;
}

/** Longest time a worker waits for a notice before it looks by itself, in seconds. */
const LONGEST_BLOCK_SECONDS = 5;

/**
 * BullMQ's backend on PostgreSQL, but for two things.
 *
 * A first connection that fails (PostgreSQL restarts, or has no connection to spare, just as a process starts) is not
 * remembered. BullMQ would refuse every question from then on, and its worker would spin, deaf to everything, until
 * somebody restarts the process.
 *
 * After an error a worker waits for a notice for an hour at most, trusting that a connection that is lost wakes it. One that is
 * lost in the moment before it begins to wait does not: it waits for seconds here.
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
