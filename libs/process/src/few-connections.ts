import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Most connections of a port that only probes and scrapers use. */
const MOST = 100;

/**
 * Limits such a port to few connections. A new connection closes the oldest, so that open connections cannot shut out a probe. Requests
 * must be short, too: the server cuts off a client that does not send or does not read.
 */
export function keepFewConnections(server: Server, most = MOST): void {
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    for (const oldest of open) {
      if (open.size <= most) break;
      open.delete(oldest);
      oldest.destroy();
    }
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  server.keepAliveTimeout = 65_000;
  server.setTimeout(90_000);
}
