import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { v4 } from 'uuid';
import { rawErrorResponse } from '#errors/error-body.js';
import { requestId } from '#process/request-id.js';
import type { Connections, OpenAnswer } from './connections.js';
import type { Origins } from './cors.js';
import { endGently } from './gentle-end.js';
import { SECURITY_HEADERS } from './security-headers.js';
import { isUnused } from './unused-connections.js';

/** An error of Node's parser. */
type RawError = NodeJS.ErrnoException & {
  /** The bytes that the parser was reading. */
  readonly rawPacket?: unknown;
};

/** Connections on which there will be no further request. */
const over = new WeakSet<Socket>();

/**
 * Answers requests that Node's HTTP parser refuses, in the common error shape (Node would use its own words). It ends the connection, since
 * the bytes that follow may not be a request. Answers under way leave first: clients match answers to requests by their order.
 */
export function answerRawError(error: RawError, socket: Socket, connections: Connections, origins: Origins): void {
  if (isUnused(error, socket)) return;
  // Node reports an error for all later bytes, too.
  if (over.has(socket)) return;
  over.add(socket);
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  // The bytes came after a request with `Connection: close`. So they are no request, and that request's answer ends the connection.
  const answers = connections.of(socket)?.answers ?? [];
  if (error.code === 'HPE_CLOSED_CONNECTION' && answers.length > 0) return;

  const latest = answers.at(-1);
  // If the fault is in a body, its request is known already, and may even have its answer.
  const broken = latest?.raw.req.complete === false ? latest : undefined;
  const before = broken === undefined ? latest : answers.at(-2);
  if (before === undefined) end(error, socket, broken, origins);
  else before.raw.once('close', () => end(error, socket, broken, origins));
}

function end(error: RawError, socket: Socket, broken: OpenAnswer | undefined, origins: Origins): void {
  if (broken?.raw.headersSent === true) return endGently(socket);
  const request = broken?.raw.req;
  const { origin, address } = request ? { origin: request.headers.origin, address: request.url } : senderOf(error);
  const headers = { ...SECURITY_HEADERS, ...origins.headersFor(origin, address ?? '') };
  endGently(socket, responseTo(error, request ? requestId(request) : v4(), headers));
}

/**
 * Reads the address and the origin of a refused request from the last packet: its request line, and its `Origin` if there is exactly one.
 * The result decides only whether a page may read the refusal.
 */
function senderOf({ rawPacket }: RawError): { origin?: string; address?: string } {
  const text = Buffer.isBuffer(rawPacket) ? rawPacket.toString('latin1') : '';
  const address = /^[A-Z]+ (\/\S*) HTTP\/1/.exec(text)?.[1];
  const [origin, ...others] = new Set([...text.matchAll(/\r\norigin:[ \t]*(\S+)[ \t]*\r\n/gi)].map(([, name]) => name));
  return others.length === 0 ? { origin, address } : {};
}

function responseTo({ code }: RawError, id: string, headers: Readonly<Record<string, string>>): string {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return rawErrorResponse('header_fields_too_large', 'The headers are too large.', id, headers);
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return rawErrorResponse('request_timeout', 'The request took too long to arrive.', id, headers);
  }
  return rawErrorResponse('malformed_request', 'This is not an HTTP request.', id, headers);
}

/** Answers CONNECT requests, which Node would refuse without an answer: this service is no proxy (RFC 9110, section 9.3.6). */
export function refuseTunnels(fastify: FastifyInstance, connections: Connections, origins: Origins): void {
  fastify.server.on('connect', (_request, socket: Socket) => {
    socket.on('error', () => undefined);
    answerRawError(new Error('CONNECT'), socket, connections, origins);
    socket.resume();
  });
}
