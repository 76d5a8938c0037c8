import pg from 'pg';

/*
 * A connection that PostgreSQL ends in the very moment it is made: the word that it is ready and the word that it is over
 * arrive together, and the second is an `error` event before whoever waits for the first can listen. Nobody hears it, and an
 * error that nobody hears ends the process. So every client has a listener from the start, whoever makes it: our pools, and
 * BullMQ's. Nothing is kept from anybody: the next statement on such a connection fails, and says why.
 */

type Connect = (this: pg.Client, ...args: unknown[]) => unknown;

const prototype = pg.Client.prototype as unknown as { connect: Connect };
const { connect } = prototype;

prototype.connect = function (...args) {
  this.on('error', () => undefined);
  return connect.apply(this, args);
};
