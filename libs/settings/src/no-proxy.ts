import { BlockList, isIP } from 'node:net';

/**
 * Whether `NO_PROXY` names a server, given by the host and port of its address. There is no standard. This reads the entries that curl and
 * Go take, with commas or spaces between:
 *
 * - `*`: every server;
 * - `example.com`, `.example.com` or `*.example.com`: the name and all names below it;
 * - `10.0.0.7`, `::1` or `[::1]`: the address as the server's address has it, since no name is looked up;
 * - `10.0.0.0/8`: addresses of a network;
 * - an entry with a port (not `*`, not a network), `example.com:8443`: only that port.
 *
 * All programs of a machine share the list, so other entries are skipped.
 *
 * @param hostname as `URL` writes it, so in small letters, and in brackets if it is an address of IPv6
 */
export function isExempt(noProxy: string, hostname: string, port: number): boolean {
  const host = bare(hostname);
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => entry === '*' || covers(entry.toLowerCase(), host, port));
}

function covers(entry: string, host: string, port: number): boolean {
  if (entry.includes('/')) return isIn(entry, host);
  const [, name = '', itsPort] = isIP(entry) === 6 ? [entry, entry] : (/^(.*?)(?::(\d+))?$/.exec(entry) ?? []);
  if (itsPort !== undefined && Number(itsPort) !== port) return false;
  const wanted = bare(name.replace(/^\*?\./, ''));
  if (wanted === '') return false;
  const family = isIP(host);
  if (family !== 0) return isIP(wanted) === family && isIn(`${wanted}/${family === 4 ? 32 : 128}`, host);
  return host === wanted || host.endsWith(`.${wanted}`);
}

/** Whether an address lies in a network. Addresses of IPv6 can be written in several ways. */
function isIn(network: string, host: string): boolean {
  const [address = '', prefix = ''] = network.split('/');
  const family = isIP(bare(address));
  if (family === 0 || isIP(host) !== family || !/^\d+$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128)) {
    return false;
  }
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(bare(address), Number(prefix), type);
  return list.check(host, type);
}

/** The host without the brackets of an IPv6 address or the dot that may end a name. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}
