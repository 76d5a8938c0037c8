import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Methods whose requests change nothing (RFC 9110, section 9.2.1). */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Calls that are due when an answer has left, or cannot any more. */
type Waiting = (() => void)[];

/** The answers of each connection that have not left yet, in the order of their requests. */
const unfinished = new WeakMap<Socket, Map<ServerResponse, Waiting>>();

/** Connections that one of our answers has ended. */
const ended = new WeakSet<Socket>();

/** The answers of a connection that have not left yet, in the order of their requests. */
export function unfinishedAnswers(socket: Socket): ServerResponse[] {
  return [...(unfinished.get(socket)?.keys() ?? [])];
}

/**
 * Has requests that a client sends without waiting for answers ("pipelined") done one after another, unless all of them are safe
 * (RFC 9112, section 9.3.2). Node starts them all at once: of two messages the second might be stored first. What was sent
 * behind a request whose answer ended the connection is not done at all (section 9.6): its client is told that it got no answer.
 */
export function keepRequestsInOrder(fastify: FastifyInstance): void {
  fastify.server.prependListener('request', follow);
  // The last moment before something is done. A body is read before, or it would keep the client from sending on.
  fastify.addHook('preHandler', async ({ raw: { socket } }, reply) => {
    const all = unfinishedAnswers(socket);
    const before = all.slice(0, all.indexOf(reply.raw));
    const last = before.at(-1);
    if (last !== undefined && ![...before, reply.raw].every(({ req }) => SAFE.has(req.method ?? ''))) {
      await new Promise<void>((resolve) => unfinished.get(socket)?.get(last)?.push(resolve));
    }
    if (ended.has(socket)) reply.hijack();
  });
}

function follow({ socket }: IncomingMessage, answer: ServerResponse): void {
  const answers = unfinished.get(socket) ?? begin(socket);
  answers.set(answer, []);
  let wasOpen = false;
  // Before Node's own listener, which ends the connection where the answer said so.
  answer.prependListener('finish', () => (wasOpen = socket.writable));
  answer.on('close', () => {
    if (wasOpen && !socket.writable) ended.add(socket);
    leave(answers, answer);
  });
}

function begin(socket: Socket): Map<ServerResponse, Waiting> {
  const answers = new Map<ServerResponse, Waiting>();
  unfinished.set(socket, answers);
  // An answer that waits behind another is not told when their connection ends.
  socket.once('close', () => [...answers.keys()].forEach((answer) => leave(answers, answer)));
  return answers;
}

function leave(answers: Map<ServerResponse, Waiting>, answer: ServerResponse): void {
  const waiting = answers.get(answer) ?? [];
  answers.delete(answer);
  for (const resume of waiting) resume();
}
