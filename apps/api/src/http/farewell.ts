import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import type { ServerResponse } from 'node:http';
import { type Connection, Connections } from './connections.js';

/** Time a request that is on its way has to arrive once the process is told to stop, in milliseconds. */
const ARRIVAL_MS = 1_000;

/** Time an answer has to be read, in milliseconds; less than the process has to stop. */
const READING_MS = 20_000;

/**
 * From the moment the process is told to stop, every answer says `Connection: close` (RFC 9112, section 9.6), and a connection
 * ends with the answer that is under way on it. One on which nobody has asked for anything, or not to the end, is closed
 * a little later, and one whose answer nobody reads later still. Without this a client keeps its connection for later, and the
 * process waits for it in vain.
 *
 * Node itself is kept from closing connections at that time: it takes an answer for finished that has not left yet.
 */
@Injectable()
export class Farewell implements OnModuleDestroy {
  private stopping = false;

  constructor(
    host: HttpAdapterHost,
    private readonly connections: Connections,
  ) {
    const fastify = host.httpAdapter.getInstance<FastifyInstance>();
    // Called by Node as it stops to listen. A request may be on its way on any of them.
    fastify.server.closeIdleConnections = () => undefined;
    fastify.addHook('onRequest', (_request, reply, done) => {
      if (this.stopping) this.endWith(reply.raw);
      done();
    });
  }

  /** The first thing Nest does when it closes. */
  onModuleDestroy(): void {
    this.stopping = true;
    for (const { answers } of this.connections.open) answers.forEach(({ raw }) => this.endWith(raw));
    // An answer whose request has not come to its end waits for it; any other is under way.
    // What came while the process was kept from running is read before its time is said to be over: timers go first in Node.
    const unasked = (): void => this.closeWhere(({ answers }) => !answers.some(({ raw }) => raw.req.complete));
    setTimeout(() => setImmediate(unasked), ARRIVAL_MS).unref();
    setTimeout(() => this.closeWhere(() => true), READING_MS).unref();
  }

  /** Its connection ends with it, unless others are under way there. */
  private endWith(answer: ServerResponse): void {
    // Said to Node's own answer, for that of a stream of events never passes the framework's hooks on its way out.
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
