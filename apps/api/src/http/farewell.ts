import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import type { ServerResponse } from 'node:http';
import { type Connection, Connections } from './connections.js';

/** How long a request may still take to arrive once the process stops, in milliseconds. */
const ARRIVAL_MS = 1_000;

/** How long a client may take to read an answer, in milliseconds; shorter than the time in which the process must stop. */
const READING_MS = 20_000;

/**
 * Ends all connections when the process stops. From then on every answer has `Connection: close` (RFC 9112, section 9.6), and a connection
 * ends with its current answer. A connection without a complete request is closed after {@link ARRIVAL_MS}, and one whose answer is not
 * read after {@link READING_MS}. Otherwise clients would keep their connections, and the process could not end.
 *
 * Node must not close connections itself: it considers an answer finished that has not left yet.
 */
@Injectable()
export class Farewell implements OnModuleDestroy {
  private stopping = false;

  constructor(
    host: HttpAdapterHost,
    private readonly connections: Connections,
  ) {
    const fastify = host.httpAdapter.getInstance<FastifyInstance>();
    // Node calls this when it stops listening. A request may be on its way on any connection.
    fastify.server.closeIdleConnections = () => undefined;
    fastify.addHook('onRequest', (_request, reply, done) => {
      if (this.stopping) this.endWith(reply.raw);
      done();
    });
  }

  /** Nest calls this first when it closes. */
  onModuleDestroy(): void {
    this.stopping = true;
    for (const { answers } of this.connections.open) answers.forEach(({ raw }) => this.endWith(raw));
    // If a request is incomplete, its answer waits for the rest; all other answers are under way. Timers run first in Node, so bytes that
    // arrived while the process was busy must be read before this decides.
    const unasked = (): void => this.closeWhere(({ answers }) => !answers.some(({ raw }) => raw.req.complete));
    setTimeout(() => setImmediate(unasked), ARRIVAL_MS).unref();
    setTimeout(() => this.closeWhere(() => true), READING_MS).unref();
  }

  /** Ends the connection with this answer, unless other answers are under way on it. */
  private endWith(answer: ServerResponse): void {
    // Set on Node's own answer, since an event stream passes no hook of the framework on its way out.
    if (!answer.headersSent) answer.setHeader('connection', 'close');
    const { socket } = answer.req;
    answer.on('close', () => {
      if (this.connections.of(socket)?.answers.length === 0) socket.destroySoon();
    });
  }

  private closeWhere(may: (connection: Connection) => boolean): void {
    for (const connection of this.connections.open) if (may(connection)) connection.socket.destroy();
  }
}
