import type { EventEmitter } from 'node:events';
import pg from 'pg';

/*
 * Gives every client of pg a listener for errors from the start: those of our pools, and BullMQ's.
 *
 * PostgreSQL may end a connection at the very moment it is ready. Both events then arrive together, and the second, an `error`, comes
 * before the code that waits for the first can listen. An `error` event without a listener ends the process. Later listeners still get
 * later errors, and the next statement on such a connection fails.
 */

type Connect = (this: pg.Client, ...args: unknown[]) => unknown;

const prototype = pg.Client.prototype as unknown as { connect: Connect };
const { connect } = prototype;

prototype.connect = function (...args) {
  let pending: Error | undefined;
  this.on('error', (error: Error) => {
    if (this.listenerCount('error') === 1) pending = error;
  });
  (this as EventEmitter).on('newListener', (event: string, listener: (error: Error) => void) => {
    const error = pending;
    if (event !== 'error' || error === undefined) return;
    pending = undefined;
    process.nextTick(() => listener.call(this, error));
  });
  return connect.apply(this, args);
};
