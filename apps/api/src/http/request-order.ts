import type { FastifyInstance } from 'fastify';
import type { Connections } from './connections.js';

/** Methods whose requests change nothing (RFC 9110, section 9.2.1). */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/**
 * Handles pipelined requests, which a client sends without waiting for answers, one after another, unless all of them are safe (RFC 9112,
 * section 9.3.2). Node starts them all at once, so the second of two messages might be stored first. If an answer ends the connection,
 * later requests on it are dropped (section 9.6): their client sees that they got no answer.
 */
export function keepRequestsInOrder(fastify: FastifyInstance, connections: Connections): void {
  // This is the last hook before a request has an effect. The body must be read before the wait, or the client could not send on.
  fastify.addHook('preHandler', ({ raw: { socket } }, reply, done) => {
    const connection = connections.of(socket);
    const answers = connection?.answers ?? [];
    const at = answers.findIndex(({ raw }) => raw === reply.raw);
    const before = answers[at - 1];
    const goOn = (): void => (connection?.isEnded === true ? void reply.hijack() : done());
    if (before === undefined || answers.slice(0, at + 1).every(({ raw }) => SAFE.has(raw.req.method ?? ''))) goOn();
    else before.onLeft = goOn;
  });
}
