import { freePort } from '../../tools/free-port.js';

/** Below the ports that systems give to outgoing connections, which would take the port of a server that is away for a moment. */
const RANGE = '20000-31999';
const TRIES = 50;

/** Ports that this process has given out. A server may begin to listen on its port only later. */
const given = new Set<number>();

/** A free port for a server that is killed and comes back on the same port. If `TEST_PORTS` (FROM-TO) is set, the port is in that range. */
export async function steadyPort(): Promise<number> {
  const range = process.env['TEST_PORTS'] ?? RANGE;
  const [lowest, highest] = portRange(range);
  for (let tries = 0; tries < TRIES; tries++) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1));
    if (given.has(port)) continue;
    const found = await freePort(port).catch(() => undefined);
    if (found === undefined) continue;
    given.add(found);
    return found;
  }
  throw new Error(`No free port was found in ${range}.`);
}

/** Any port, for a server that need not come back: the system's choice, unless `TEST_PORTS` is set. */
export async function anyPort(): Promise<number> {
  return process.env['TEST_PORTS'] === undefined ? 0 : steadyPort();
}

/** @throws Error when it is no range of ports */
export function portRange(text: string): readonly [lowest: number, highest: number] {
  const [, lowest, highest] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const range = [Number(lowest), Number(highest)] as const;
  if (!(range[0] > 0 && range[0] <= range[1] && range[1] < 65_536)) throw new Error(`${text} is no range of ports.`);
  return range;
}
