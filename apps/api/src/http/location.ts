import type { FastifyReply } from 'fastify';

/** Slashes in the path of an address right below the API's own, `/api/v1/x`. */
const SLASHES_AT_TOP = 3;

/**
 * An address of the API, given from `/api/v1/` on, relative to the address of a request. So it also leads to the right place if a proxy
 * serves the API below a path that we know nothing of.
 */
export function fromHere(url: string, address: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return '../'.repeat(Math.max(0, path.split('/').length - 1 - SLASHES_AT_TOP)) + address;
}

/** Sets `Location` (RFC 9110, section 10.2.2) to an address below `/api/v1/`. */
export function sendLocation(reply: FastifyReply, address: string): FastifyReply {
  return reply.header('location', fromHere(reply.request.url, address));
}
