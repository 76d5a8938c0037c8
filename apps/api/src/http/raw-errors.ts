import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { v4 } from 'uuid';
import { rawErrorResponse } from '#errors/error-body.js';
import { requestId } from '#process/request-id.js';
import type { Connections, OpenAnswer } from './connections.js';
import { endGently } from './gentle-end.js';
import { SECURITY_HEADERS } from './security-headers.js';
import { isUnused } from './unused-connections.js';

/** Connections on which there will be no further request. */
const over = new WeakSet<Socket>();

/**
 * Answers what Node's HTTP parser refuses (it would answer in its own words) in the one error shape, and ends the connection: what
 * follows cannot be trusted to be a request. Answers under way go first, for each is the next in line to its client.
 */
export function answerRawError(error: NodeJS.ErrnoException, socket: Socket, connections: Connections): void {
  if (isUnused(error, socket)) return;
  // Node says so of whatever comes later, too.
  if (over.has(socket)) return;
  over.add(socket);
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  // Sent behind a request that was said to be the last: it is no request, and that one's answer ends the connection.
  const answers = connections.of(socket)?.answers ?? [];
  if (error.code === 'HPE_CLOSED_CONNECTION' && answers.length > 0) return;

  const latest = answers.at(-1);
  // What broke within its body is known already, and may even have its answer.
  const broken = latest?.raw.req.complete === false ? latest : undefined;
  const before = broken === undefined ? latest : answers.at(-2);
  if (before === undefined) end(error, socket, broken);
  else before.raw.once('close', () => end(error, socket, broken));
}

function end(error: NodeJS.ErrnoException, socket: Socket, broken: OpenAnswer | undefined): void {
  const isAnswered = broken?.raw.headersSent === true;
  endGently(
    socket,
    isAnswered ? undefined : responseTo(error, broken === undefined ? v4() : requestId(broken.raw.req)),
  );
}

function responseTo({ code }: NodeJS.ErrnoException, id: string): string {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return rawErrorResponse('header_fields_too_large', 'The headers are too large.', id, SECURITY_HEADERS);
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return rawErrorResponse('request_timeout', 'The request took too long to arrive.', id, SECURITY_HEADERS);
  }
  return rawErrorResponse('malformed_request', 'This is not an HTTP request.', id, SECURITY_HEADERS);
}

/** What Node would refuse without a word: there is nothing here to connect to (RFC 9110, section 9.3.6). */
export function refuseTunnels(fastify: FastifyInstance, connections: Connections): void {
  fastify.server.on('connect', (_request, socket: Socket) => {
    socket.on('error', () => undefined);
    answerRawError(new Error('CONNECT'), socket, connections);
    socket.resume();
  });
}
