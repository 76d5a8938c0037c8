import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';

/**
 * Keeps Fastify from sending `Content-Length: 0` with a HEAD where a GET has content, or with a 304: a cache would take that for the length
 * of its copy. RFC 9110, section 8.6, allows leaving out an unknown length. Call this before any route is declared.
 */
export function sendNoFalseLength(fastify: FastifyInstance): void {
  fastify.addHook('onSend', (request, _reply, payload, done) => {
    // A stream has no length.
    done(null, request.method === 'HEAD' && payload === undefined ? Readable.from([]) : payload);
  });
}
