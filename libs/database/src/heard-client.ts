import type { EventEmitter } from 'node:events';
import pg from 'pg';

/*
 * A connection that PostgreSQL ends in the very moment it is made: the word that it is ready and the word that it is over
 * arrive together, and the second is an `error` event before whoever waits for the first can listen. Nobody hears it, and an
 * error that nobody hears ends the process. So every client has a listener from the start, whoever makes it: our pools, and
 * BullMQ's. Nothing is kept from anybody: whoever listens next is told, and the next statement on such a connection fails.
 */

type Connect = (this: pg.Client, ...args: unknown[]) => unknown;

const prototype = pg.Client.prototype as unknown as { connect: Connect };
const { connect } = prototype;

prototype.connect = function (...args) {
  let untold: Error | undefined;
  this.on('error', (error: Error) => {
    if (this.listenerCount('error') === 1) untold = error;
  });
  (this as EventEmitter).on('newListener', (event: string, listener: (error: Error) => void) => {
    const error = untold;
    if (event !== 'error' || error === undefined) return;
    untold = undefined;
    process.nextTick(() => listener.call(this, error));
  });
  return connect.apply(this, args);
};
