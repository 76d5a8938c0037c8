import { freePort } from '../../tools/free-port.js';

/** Below what systems give to outgoing connections, which would take the port of whoever is away for a moment. */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const TRIES = 50;

/** A free port for a server that is killed and comes back where it was. */
export async function steadyPort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    const found = await freePort(port).catch(() => undefined);
    if (found !== undefined) return found;
  }
  throw new Error(`No free port was found between ${LOWEST} and ${HIGHEST}.`);
}
