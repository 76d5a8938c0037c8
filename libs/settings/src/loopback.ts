import { isIPv4 } from 'node:net';

/** Whether a host, as `URL` writes it, is this machine itself: `localhost`, a name below it, 127.0.0.0/8 or `[::1]`. */
export function isLoopback(hostname: string): boolean {
  if (isIPv4(hostname)) return hostname.startsWith('127.');
  return hostname === '[::1]' || /^(?:.+\.)?localhost\.?$/.test(hostname);
}
