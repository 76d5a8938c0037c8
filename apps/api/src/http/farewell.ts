import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import type { ServerResponse } from 'node:http';
import { type Connection, Connections } from './connections.js';

/** How long a request that is on its way may take to arrive once the process is told to stop, in milliseconds. */
const ARRIVAL_MS = 1_000;

/** How long an answer may take to be read, in milliseconds; less than the process has to stop. */
const READING_MS = 20_000;

/**
 * From the moment at which the process is told to stop, every answer says `Connection: close` (RFC 9112, section 9.6), and a connection
 * ends with its current answer. A connection without a whole request is closed a little later, and one whose answer nobody reads later
 * still. Otherwise a client would keep its connection, and the process would wait for it in vain.
 *
 * Node itself is kept from closing connections then: it takes an answer for finished that has not left yet.
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
    // An answer waits for the rest of its request; any other answer is under way. Bytes that arrived while the process was busy are read
    // before their time is over: timers run first in Node.
    const unasked = (): void => this.closeWhere(({ answers }) => !answers.some(({ raw }) => raw.req.complete));
    setTimeout(() => setImmediate(unasked), ARRIVAL_MS).unref();
    setTimeout(() => this.closeWhere(() => true), READING_MS).unref();
  }

  /** Its connection ends with it, unless other answers are under way there. */
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
