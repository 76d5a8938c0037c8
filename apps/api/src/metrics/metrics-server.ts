import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { keepFewConnections } from '#process/few-connections.js';
import { StartFault } from '#errors/start-fault.js';
import { measureProcess, registry } from '#telemetry/registry.js';

const HEADERS = { 'cache-control': 'no-store' };

/**
 * Serves `GET /metrics` on a port of its own, which the API's clients cannot reach. The server does not keep the process alive. @throws
 * StartFault when the port is not available
 */
export async function serveMetrics(port: number, host: string): Promise<void> {
  measureProcess();
  const server = createServer({ connectionsCheckingInterval: 2_000 });
  server.on('request', (request, response) => {
    request.resume();
    if (request.url?.split('?', 1)[0] !== '/metrics') {
      response.writeHead(404, HEADERS).end();
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { ...HEADERS, allow: 'GET, HEAD' }).end();
    } else {
      registry.metrics().then(
        (text) => response.writeHead(200, { ...HEADERS, 'content-type': registry.contentType }).end(text),
        () => response.writeHead(500, HEADERS).end(),
      );
    }
  });
  keepFewConnections(server);
  server.unref();
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StartFault(`Cannot serve metrics on port ${port} of ${host} (${code}). Look at METRICS_PORT and HOST.`, {
      cause,
    });
  }
  server.on('connection', (socket) => socket.unref());
  const { address, family, port: bound } = server.address() as AddressInfo;
  const shown = family === 'IPv6' ? `[${address}]` : address;
  new Logger('metrics').log(`serving http://${shown}:${bound}/metrics`);
}
