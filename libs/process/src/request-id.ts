import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { v4 } from 'uuid';

const SANE = /^[A-Za-z0-9._-]{1,128}$/;

/** The client's `X-Request-Id` if it is fit for a log line and a header, else a new one. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE.test(given) ? given : v4();
}

/** Sends the request's id with every answer. */
export function sendRequestId(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    done();
  });
}
