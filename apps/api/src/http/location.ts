import type { FastifyReply } from 'fastify';

/** Slashes in the path of an address right below the API's own, `/api/v1/x`. */
const SLASHES_AT_TOP = 3;

/**
 * Makes an address below `/api/v1/` relative to a request's address. So it stays correct if a proxy serves the API below a path that the
 * service does not know.
 */
export function fromHere(url: string, address: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return '../'.repeat(Math.max(0, path.split('/').length - 1 - SLASHES_AT_TOP)) + address;
}

/** Sets `Location` (RFC 9110, section 10.2.2) to an address below `/api/v1/`. */
export function sendLocation(reply: FastifyReply, address: string): FastifyReply {
  return reply.header('location', fromHere(reply.request.url, address));
}
