import { once } from 'node:events';
import { createServer } from 'node:net';

/** The port `wanted` on `host`, or any free one when it is 0. @throws NodeJS.ErrnoException `EADDRINUSE` when the port is in use */
export async function freePort(wanted = 0, host = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(wanted, host);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
