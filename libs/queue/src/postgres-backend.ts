import type { Socket } from 'node:net';
import { createPostgresBackend } from 'bullmq';
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
  handleListenClientError(client: unknown, error: unknown): void;
  close(): Promise<void>;
}

interface Backend extends Ready {
  /** Whether BullMQ takes the session for one that listens. */
  listening: boolean;
  /** Has a session listen. @returns it */
  ensureListening(): Promise<unknown>;
}

/** How often another session is tried when one is lost as it begins to listen. */
const TRIES = 3;

/** How long a worker waits for a notice before it looks by itself, in seconds. */
const LONGEST_BLOCK_SECONDS = 5;

/**
 * BullMQ's backend on PostgreSQL, with five changes.
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
 * It does not wait with a session that is lost. A session that ends in the moment in which the pool hands it over tells the pool alone,
 * and BullMQ keeps it. One that ends with the answer to LISTEN is replaced, and BullMQ takes the new one for one that listens. Either way
 * its worker would hear of no ticket any more.
 *
 * A switchover ends its sessions, as it ends ours. The session that listens would hear nothing any more; BullMQ opens another one.
 */
export const postgresBackend: typeof createPostgresBackend = (name, options, ...rest) => {
  const pool = new pg.Pool({ ...(options.connection as SessionOptions<pg.PoolConfig>), Client: SessionClient });
  const backend = createPostgresBackend(name, { ...options, connection: pool }, ...rest);
  const { connection } = backend as unknown as { connection: Connection };
  attendPool(pool);
  onSwitchover(() => connection.listenClient?.connection.stream.destroy(new SessionLeftError()));
  const waiting = backend as unknown as Backend;
  const ensureListening = waiting.ensureListening.bind(waiting);
  waiting.ensureListening = async () => {
    for (let tries = 1; ; tries++) {
      const session = await ensureListening().catch((error: unknown) => {
        if (connection.listenClient !== undefined) connection.handleListenClientError(connection.listenClient, error);
        throw error;
      });
      if (session === connection.listenClient) return session;
      waiting.listening = false;
      if (tries === TRIES) throw new Error('Every session broke when it began to listen.');
    }
  };
  const close = connection.close.bind(connection);
  // BullMQ leaves a pool that it was given to whoever gave it.
  connection.close = () => close().then(() => (pool.ending ? undefined : pool.end()));
  for (const part of [connection, waiting]) {
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
