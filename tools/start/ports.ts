import { freePort } from '../free-port.js';

/** Settings and the ports they ask for. 0 asks for any free one, and undefined for none. */
export type WantedPorts = Readonly<Record<string, number | undefined>>;

/** How far from a port in use another one is proposed. */
const FURTHER = 100;

/**
 * The ports that settings ask for, all of them free. @throws Error with one line that names each setting whose port is in use, and a
 * command that would work
 */
export async function claimPorts<Wanted extends WantedPorts>(wanted: Wanted, host: string): Promise<Wanted> {
  const claimed: Record<string, number | undefined> = {};
  const taken: string[] = [];
  for (const [name, port] of Object.entries(wanted)) {
    try {
      claimed[name] = port === undefined ? undefined : await freePort(port, host);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EADDRINUSE') throw new Error(refusal(name, port ?? 0, host, code), { cause: error });
      taken.push(name);
    }
  }
  if (taken.length > 0) throw new Error(await proposal(wanted, taken, host));
  return claimed as Wanted;
}

function refusal(name: string, port: number, host: string, code: string | undefined): string {
  if (code === 'EACCES') return `You may not listen on port ${port}. Set ${name} to one above 1023.`;
  return `Cannot listen on port ${port} of ${host} (${code}). Look at ${name} and HOST.`;
}

async function proposal(wanted: WantedPorts, taken: readonly string[], host: string): Promise<string> {
  const free = await Promise.all(taken.map(async (name) => `${name}=${await freeAfter(wanted[name] ?? 0, host)}`));
  const ports = taken.map((name) => wanted[name]);
  const command = `${free.join(' ')} npm start`;
  if (ports.length === 1) return `Port ${ports[0]} is in use. Set ${taken[0]} to another:  ${command}`;
  return `Ports ${ports.join(' and ')} are in use. Set ${taken.join(' and ')} to others:  ${command}`;
}

/** A free port a little above one in use; 0, which stands for any, when the ports that were tried are in use, too. */
async function freeAfter(port: number, host: string): Promise<number> {
  for (let next = port + FURTHER; next < port + 10 * FURTHER && next < 65_536; next += FURTHER) {
    const isFree = await freePort(next, host).then(
      () => true,
      () => false,
    );
    if (isFree) return next;
  }
  return 0;
}
