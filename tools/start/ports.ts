import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * The port that the setting `name` asks for, or a free one where it asks for 0.
 * @throws Error naming the setting when the port is taken
 */
export async function claimPort(name: string, wanted: number, host: string): Promise<number> {
  const server = createServer();
  server.listen(wanted, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new Error(`Port ${wanted} is in use. Set ${name} to a free one:  ${name}=${wanted + 100} npm start`, {
      cause: error,
    });
  }
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
