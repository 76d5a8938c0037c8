import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** How long a client that is still sending may take to read the last answer, in milliseconds. */
const READING_MS = 2_000;

/**
 * Ends a connection on which the client may still be sending. The bytes are read and dropped for a while. If the connection were closed at
 * once, they would reset it, and the client could lose an answer that it has not read (RFC 9112, section 9.6).
 */
export function endGently(socket: Socket, lastWords?: string): void {
  if (lastWords === undefined) socket.end();
  else socket.end(lastWords);
  setTimeout(() => socket.destroy(), READING_MS).unref();
}

/**
 * Lets clients read an answer that is sent before their whole request has arrived, for instance when a body is too large. Fastify would
 * close the connection. Here a client may keep it: the rest of the request is dropped as it arrives, within the time limit of any request,
 * and the next request is answered.
 */
export function answerEarlyRequests(fastify: FastifyInstance): void {
  fastify.addHook('onSend', ({ raw }, reply, payload, done) => {
    const { socket } = raw;
    if (!raw.complete) {
      raw.resume();
      socket.destroySoon = () => endGently(socket);
    }
    // The farewell sets the header on Node's own answer. A client that waits for `100 Continue` may or may not send its body.
    const isFastifys = reply.getHeader('connection') === 'close' && !reply.raw.hasHeader('connection');
    const mayFollow = !raw.complete && /100-continue/i.test(raw.headers.expect ?? '');
    if (isFastifys && reply.raw.shouldKeepAlive && !mayFollow) void reply.header('connection', 'keep-alive');
    done(null, payload);
  });
}
