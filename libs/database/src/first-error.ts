import type { EventEmitter } from 'node:events';
import type pg from 'pg';

/**
 * Gives a client a listener for errors. Call it before the client connects.
 *
 * PostgreSQL may end a connection at the very moment it is ready. Both events then arrive together, and the second, an `error`, comes
 * before the code that waits for the first can listen. An `error` event without a listener ends the process, and pg leaves the listener to
 * its users (https://github.com/brianc/node-postgres/issues/2762). A listener that comes later still gets this error and those that follow.
 * The next statement on such a connection fails.
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
