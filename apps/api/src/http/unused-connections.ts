import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Keeps a connection that was opened and not used yet for as long as one that is not used any more. Browsers and balancers open
 * some ahead of need, and count on both alike.
 */
export function keepUnusedOpen(server: Server, keepAliveMs: number): void {
  const unused = new WeakSet<Socket>();
  server.on('connection', (socket) => {
    unused.add(socket);
    // Node adds this much to the time that it announces to clients, so that no request meets the end.
    socket.setTimeout(keepAliveMs + 1_000);
  });
  server.prependListener('request', ({ socket }) => {
    if (unused.delete(socket)) socket.setTimeout(server.timeout);
  });
}

/**
 * Whether Node complains that no request came on a connection on which nothing came at all. It times the first one from the moment
 * the connection opens, and its complaint would be answered with a `408` that nobody asked for: whatever was sent in that
 * moment would take it for its answer. From the first byte on Node times the request anew.
 */
export function isUnused({ code }: NodeJS.ErrnoException, socket: Socket): boolean {
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0;
}
