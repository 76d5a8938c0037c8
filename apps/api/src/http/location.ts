import type { FastifyReply } from 'fastify';

/** Slashes in the path of an address right below the API's own, `/api/v1/x`. */
const SLASHES_AT_TOP = 3;

/**
 * An address of the API, given from `/api/v1/` on, as it is found from where a request went. Said like that it leads to the right place also
 * where a proxy serves the API below a path of its own, of which nothing is known here.
 */
export function fromHere(url: string, address: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return '../'.repeat(Math.max(0, path.split('/').length - 1 - SLASHES_AT_TOP)) + address;
}

/** Says where a resource is (RFC 9110, section 10.2.2), by its address below `/api/v1/`. */
export function tellLocation(reply: FastifyReply, address: string): FastifyReply {
  return reply.header('location', fromHere(reply.request.url, address));
}
