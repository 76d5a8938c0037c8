import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Time a client has to read the last answer while it still sends, in milliseconds. */
const READING_MS = 2_000;

/**
 * Ends a connection on which more may come. That is read for a while and thrown away: a connection that is closed at once is reset
 * by what comes then, below an answer that its client has not read yet (RFC 9112, section 9.6).
 */
export function endGently(socket: Socket, lastWords?: string): void {
  if (lastWords === undefined) socket.end();
  else socket.end(lastWords);
  setTimeout(() => socket.destroy(), READING_MS).unref();
}

/**
 * Lets clients read what is answered before all of their request is there, as of a body that is too large. Where they mean to keep
 * the connection it stays: the rest of the request is thrown away as it comes, for no longer than any request may take, and the
 * next one is answered. Fastify would close it.
 */
export function answerEarlyRequests(fastify: FastifyInstance): void {
  fastify.addHook('onSend', ({ raw }, reply, payload, done) => {
    const { socket } = raw;
    if (!raw.complete) {
      raw.resume();
      socket.destroySoon = () => endGently(socket);
    }
    // What is said to Node's own answer is the farewell's; a body that was not asked for may come or not.
    const isFastifys = reply.getHeader('connection') === 'close' && !reply.raw.hasHeader('connection');
    const mayFollow = !raw.complete && /100-continue/i.test(raw.headers.expect ?? '');
    if (isFastifys && reply.raw.shouldKeepAlive && !mayFollow) void reply.header('connection', 'keep-alive');
    done(null, payload);
  });
}
