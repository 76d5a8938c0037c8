import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';

/**
 * Keeps Fastify from saying `Content-Length: 0` to a HEAD where a GET would have had more to say, or a 304: of what is not measured
 * no length is told (RFC 9110, section 8.6). A cache would take it for the length of what it has. Must be called before any route is
 * declared.
 */
export function tellNoFalseLength(fastify: FastifyInstance): void {
  fastify.addHook('onSend', (request, _reply, payload, done) => {
    // Of a stream it says nothing.
    done(null, request.method === 'HEAD' && payload === undefined ? Readable.from([]) : payload);
  });
}
