import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** Time a request that is on its way has to arrive once the process is told to stop, in milliseconds. */
const ARRIVAL_MS = 1_000;

/**
 * From the moment the process is told to stop, every answer says `Connection: close` (RFC 9112, section 9.6), and the
 * connection of an answer that had begun by then, a stream, ends with it. Connections on which nobody has asked for
 * anything, or not to the end, are closed a little later. Without this a client keeps its connection for later, and the process
 * waits for it in vain.
 */
@Injectable()
export class Farewell implements OnModuleDestroy {
  /** The open connections, each with the request being answered on it. */
  private readonly connections = new Map<Socket, IncomingMessage | undefined>();
  private stopping = false;

  constructor(host: HttpAdapterHost) {
    const fastify = host.httpAdapter.getInstance<FastifyInstance>();
    fastify.server.on('connection', (socket) => {
      this.connections.set(socket, undefined);
      socket.once('close', () => this.connections.delete(socket));
    });
    fastify.addHook('onRequest', async ({ raw }) => {
      if (this.connections.has(raw.socket)) this.connections.set(raw.socket, raw);
    });
    fastify.addHook('onSend', async (_request, reply) => {
      if (this.stopping) void reply.header('connection', 'close');
    });
    fastify.addHook('onResponse', async ({ raw }) => {
      if (this.stopping) raw.socket.destroySoon();
      else if (this.connections.has(raw.socket)) this.connections.set(raw.socket, undefined);
    });
  }

  /** The first thing Nest does when it closes. */
  onModuleDestroy(): void {
    this.stopping = true;
    setTimeout(() => {
      for (const [socket, request] of this.connections) if (request?.complete !== true) socket.destroy();
    }, ARRIVAL_MS).unref();
  }
}
