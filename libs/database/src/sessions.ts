import type { EventEmitter } from 'node:events';
import type pg from 'pg';
import { READ_ONLY_STATE } from './read-only.js';

/*
 * After a switchover the address leads to another server, and the old one may live on. It only reads then, or nobody else writes to it.
 * Sessions that were opened before stay with it: they see and hear nothing of what happens, and fail whatever they write. So once one
 * of them finds that out, this process leaves all of its sessions, and opens others where the address leads now.
 */

/** While no other server is there, sessions are left for such a statement this often at most, in milliseconds. */
const AGAIN_MS = 1_000;

const leavers = new Set<() => void>();
let leftAt = -Infinity;

/** What a session ends with that this process leaves. */
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

/** Has the sessions of a pool left after a switchover, and has this process learn of one from what the pool's sessions are answered. */
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
    // The pool removes a client that ends as it is given back.
    if (left.has(client)) void (client as unknown as pg.Client).end();
    else if (!error) idle.add(client);
  });
  pool.on('remove', (client) => {
    idle.delete(client);
    busy.delete(client);
  });
  onSwitchover(() => {
    for (const client of busy) left.add(client);
    // The pool removes an idle client for its error, at once: nobody gets it any more.
    for (const client of [...idle]) client.emit('error', new SessionLeftError());
  });
}
