import type { EventEmitter } from 'node:events';
import type pg from 'pg';

/**
 * Gives a client a listener for errors, to be called before it connects.
 *
 * PostgreSQL may end a connection at the very moment it is ready. Both events then arrive together, and the second, an `error`, comes
 * before the code that waits for the first can listen. An `error` event without a listener ends the process, and pg leaves that to its
 * users (https://github.com/brianc/node-postgres/issues/2762). Later listeners still get the error, and later ones; the next statement on
 * such a connection fails.
 */
export function keepFirstError(client: pg.Client): void {
  let pending: Error | undefined;
  client.on('error', (error: Error) => {
    if (client.listenerCount('error') === 1) pending = error;
  });
  (client as EventEmitter).on('newListener', (event: string, listener: (error: Error) => void) => {
    const error = pending;
    if (event !== 'error' || error === undefined) return;
    pending = undefined;
    process.nextTick(() => listener.call(client, error));
  });
}
