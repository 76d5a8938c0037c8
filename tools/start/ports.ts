import { freePort } from '../free-port.js';

/**
 * The port that the setting `name` asks for, or a free one where it asks for 0.
 * @throws Error naming the setting when the port is taken
 */
export async function claimPort(name: string, wanted: number, host: string): Promise<number> {
  try {
    return await freePort(wanted, host);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') {
      throw new Error(`Cannot listen on port ${wanted} of ${host} (${code}). Look at ${name} and HOST.`, {
        cause: error,
      });
    }
    throw new Error(`Port ${wanted} is in use. Set ${name} to a free one:  ${name}=${wanted + 100} npm start`, {
      cause: error,
    });
  }
}
