import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** How long a client that still sends may take to read the last answer, in milliseconds. */
const READING_MS = 2_000;

/**
 * Ends a connection on which more bytes may come. These are read for a while and dropped: if a connection is closed at once, bytes that
 * come then reset it, and its client may lose an answer that it has not read (RFC 9112, section 9.6).
 */
export function endGently(socket: Socket, lastWords?: string): void {
  if (lastWords === undefined) socket.end();
  else socket.end(lastWords);
  setTimeout(() => socket.destroy(), READING_MS).unref();
}

/**
 * Lets clients read an answer that is sent before their whole request has come, for instance to a body that is too large. If they want to
 * keep the connection it stays: the rest of the request is dropped as it comes, for at most as long as any request may take, and the next
 * request is answered. Fastify would close it.
 */
export function answerEarlyRequests(fastify: FastifyInstance): void {
  fastify.addHook('onSend', ({ raw }, reply, payload, done) => {
    const { socket } = raw;
    if (!raw.complete) {
      raw.resume();
      socket.destroySoon = () => endGently(socket);
    }
    // The farewell sets headers on Node's own answer, and a body that was not asked for may or may not come.
    const isFastifys = reply.getHeader('connection') === 'close' && !reply.raw.hasHeader('connection');
    const mayFollow = !raw.complete && /100-continue/i.test(raw.headers.expect ?? '');
    if (isFastifys && reply.raw.shouldKeepAlive && !mayFollow) void reply.header('connection', 'keep-alive');
    done(null, payload);
  });
}
