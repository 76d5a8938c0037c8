import { freePort } from '../../tools/free-port.js';

/** Below the range for outgoing connections, which could take the port while its server is away. */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const TRIES = 50;

/** Finds a free port for a server that is killed and comes back on it. */
export async function steadyPort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    const found = await freePort(port).catch(() => undefined);
    if (found !== undefined) return found;
  }
  throw new Error(`No free port was found between ${LOWEST} and ${HIGHEST}.`);
}
