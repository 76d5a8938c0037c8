import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Connections of a listener that only probes and scrapers have reason to ask. */
const MOST = 100;

/**
 * Keeps such a listener to few connections: the oldest makes room for a new one, so that nobody who merely connects can shut out
 * a probe. And to short requests: whoever does not send one, or does not read, is left.
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
