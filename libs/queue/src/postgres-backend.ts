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
  /** The session of the pool that listens, once a worker waits. */
  readonly listenClient?: { readonly connection: { readonly stream: Socket } };
  handleListenClientError(client: unknown, error: unknown): void;
  close(): Promise<void>;
}

interface Backend extends Ready {
  /** Whether BullMQ believes that the session listens. */
  listening: boolean;
  /** Makes a session listen. @returns the session */
  ensureListening(): Promise<unknown>;
}

/** How many sessions are tried if each is lost as it begins to listen. */
const TRIES = 3;

/** How long a worker waits for a notice before it looks for tickets by itself, in seconds. */
const LONGEST_BLOCK_SECONDS = 5;

/**
 * BullMQ's backend on PostgreSQL, with five changes.
 *
 * It gets a pool of ours, whose sessions have the settings that we rely on. BullMQ's own pool asks for its schema in the message that opens
 * a session, and a pooler such as PgBouncer refuses that.
 *
 * It does not remember a first connection that fails: PostgreSQL may restart, or have no connection to spare, while a process starts.
 * Otherwise BullMQ would refuse every command from then on, and its worker would spin until an operator restarts the process.
 *
 * It waits seconds for a notice. BullMQ's worker waits for up to an hour after an error and trusts that a lost connection wakes it. A
 * connection that is lost in the moment before the wait does not wake it.
 *
 * It does not wait with a lost session. If a session ends at the moment when the pool hands it over, only the pool learns of it, and BullMQ
 * keeps the session. If a session ends with the answer to LISTEN, BullMQ replaces it and believes that the new one listens. Either way its
 * worker would no longer hear of tickets.
 *
 * A switchover ends its sessions, as it ends ours. The listening session would hear nothing any more, so BullMQ opens another one.
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
  // BullMQ does not end a pool that it was given.
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
