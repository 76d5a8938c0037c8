import type { EventEmitter } from 'node:events';
import type pg from 'pg';
import { READ_ONLY_STATE } from './read-only.js';

/*
 * After a switchover the address leads to another server, and the old one may live on. It then only reads, or no other process writes to
 * it. Sessions that were opened before stay with the old server: they neither see new rows nor receive notices, and every write fails. So
 * once one session finds that out, this process leaves all of its sessions and opens new ones where the address leads now.
 */

/** While no new server is there, a failed write makes the process leave its sessions this often at most, in milliseconds. */
const AGAIN_MS = 1_000;

const leavers = new Set<() => void>();
let leftAt = -Infinity;

/** The error of a session that this process has left. */
export class SessionLeftError extends Error {
  constructor() {
    super('The process left the session: its server is not the primary any more.');
    this.name = 'SessionLeftError';
  }
}

/** Calls `leave` whenever this process leaves its sessions, until the returned function is called. */
export function onSwitchover(leave: () => void): () => void {
  leavers.add(leave);
  return () => leavers.delete(leave);
}

/** Leaves all sessions of this process: those at rest now, the others when their work is done. */
export function leaveSessions(): void {
  leftAt = performance.now();
  for (const leave of leavers) leave();
}

/** Makes a pool leave its sessions after a switchover, and watches the answers to its sessions for signs of one. */
export function attendPool(pool: pg.Pool): void {
  const idle = new Set<pg.PoolClient>();
  const busy = new Set<pg.PoolClient>();
  const left = new WeakSet<pg.PoolClient>();
  pool.on('connect', (client) => {
    const { connection } = client as pg.PoolClient & { connection: EventEmitter };
    connection.on('errorMessage', ({ code }: { code?: string }) => {
      if (code === READ_ONLY_STATE && performance.now() - leftAt >= AGAIN_MS) leaveSessions();
    });
  });
  pool.on('acquire', (client) => {
    idle.delete(client);
    busy.add(client);
  });
  pool.on('release', (error, client) => {
    busy.delete(client);
    // The pool removes a client that ends while it is given back.
    if (left.has(client)) void (client as unknown as pg.Client).end();
    else if (!error) idle.add(client);
  });
  pool.on('remove', (client) => {
    idle.delete(client);
    busy.delete(client);
  });
  onSwitchover(() => {
    for (const client of busy) left.add(client);
    // The pool removes an idle client at once when it has an error, and gives it out no more.
    for (const client of [...idle]) client.emit('error', new SessionLeftError());
  });
}
