import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { v4 } from 'uuid';
import { rawErrorResponse } from '#errors/error-body.js';
import { ServiceError } from '#errors/service-error.js';
import { SECURITY_HEADERS } from './security-headers.js';

/** Answers what Node's HTTP parser refuses (it would answer in its own words) in the one error shape. */
export function answerRawError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const response =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? rawErrorResponse('header_fields_too_large', 'The headers are too large.', v4(), SECURITY_HEADERS)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? rawErrorResponse('request_timeout', 'The request took too long to arrive.', v4(), SECURITY_HEADERS)
        : rawErrorResponse('malformed_request', 'This is not an HTTP request.', v4(), SECURITY_HEADERS);
  socket.end(response);
}

/**
 * What Node would refuse in its own words: a request of HTTP/1.1 without `Host` (RFC 9112, section 3.2) is refused in ours,
 * and an expectation nobody knows (RFC 9110, section 10.1.1, lets a server refuse it) is passed over.
 */
export function speakForNode(fastify: FastifyInstance): void {
  const server = fastify.server;
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  fastify.addHook('onRequest', async ({ raw }) => {
    if (raw.headers.host === undefined && raw.httpVersion === '1.1') {
      throw new ServiceError('malformed_request', 'The request has no Host.');
    }
  });
}
