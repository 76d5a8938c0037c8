import type { Socket } from 'node:net';
import { createPostgresBackend, type PostgresQueueBackend } from 'bullmq';
import pg from 'pg';
import { SessionClient, type SessionOptions } from '#database/session-client.js';
import { attendPool, onSwitchover, SessionLeftError } from '#database/sessions.js';

/** BullMQ's promise to be ready. It keeps the first result for ever, even a failure. */
interface Ready {
  readyPromise: Promise<void> | undefined;
  waitUntilReady(): Promise<void>;
}

interface Connection extends Ready {
  /** The session of the pool that listens, once somebody waits. */
  readonly listenClient?: { readonly connection: { readonly stream: Socket } };
  close(): Promise<void>;
}

/** How long a worker waits for a notice before it looks by itself, in seconds. */
const LONGEST_BLOCK_SECONDS = 5;

/**
 * BullMQ's backend on PostgreSQL, with four changes.
 *
 * It gets a pool of ours, whose sessions have the settings that we rely on. A pool of its own asks for its schema in the message that
 * opens a session, where a pooler such as PgBouncer refuses it.
 *
 * It does not remember a first connection that fails, because PostgreSQL restarts or has no connection to spare while a process starts.
 * BullMQ would refuse every question from then on, and its worker would spin until somebody restarts the process.
 *
 * It waits seconds for a notice. BullMQ's worker waits for up to an hour after an error and trusts that a lost connection wakes it. A
 * connection that is lost in the moment before the wait does not wake it.
 *
 * A switchover ends its sessions, as it ends ours. The session that listens would hear nothing any more; BullMQ opens another one.
 */
export const postgresBackend: typeof createPostgresBackend = (name, options, ...rest) => {
  const pool = new pg.Pool({ ...(options.connection as SessionOptions<pg.PoolConfig>), Client: SessionClient });
  const backend = createPostgresBackend(name, { ...options, connection: pool }, ...rest);
  const { connection } = backend as unknown as { connection: Connection };
  attendPool(pool);
  onSwitchover(() => connection.listenClient?.connection.stream.destroy(new SessionLeftError()));
  const close = connection.close.bind(connection);
  // BullMQ leaves a pool that it was given to whoever gave it.
  connection.close = () => close().then(() => (pool.ending ? undefined : pool.end()));
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
