import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Keeps a connection without any request open for as long as one that is idle after a request. Browsers and load balancers open connections
 * in advance, and expect both to stay open.
 */
export function keepUnusedOpen(server: Server, keepAliveMs: number): void {
  const unused = new WeakSet<Socket>();
  server.on('connection', (socket) => {
    unused.add(socket);
    // Node waits this much longer than it announces to clients, so that no request meets a closing connection.
    socket.setTimeout(keepAliveMs + 1_000);
  });
  server.prependListener('request', ({ socket }) => {
    if (unused.delete(socket)) socket.setTimeout(server.timeout);
  });
}

/**
 * Whether Node reports a missing request on a connection that has received no bytes. Node times the first request from the moment at which
 * the connection opens. Such an error must not be answered: a request that the client sends at the same moment would take the `408` for its
 * answer. At the first byte Node starts to time the request anew.
 */
export function isUnused({ code }: NodeJS.ErrnoException, socket: Socket): boolean {
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0;
}
