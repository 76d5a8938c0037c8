import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';

/**
 * From the moment the process is told to stop, every answer says `Connection: close` (RFC 9112, section 9.6), and the
 * connection of an answer that had begun by then, a stream, ends with it. Without this a client keeps its connection for
 * later, and the process waits for it in vain.
 */
@Injectable()
export class Farewell implements OnModuleDestroy {
  private stopping = false;

  constructor(host: HttpAdapterHost) {
    const fastify = host.httpAdapter.getInstance<FastifyInstance>();
    fastify.addHook('onSend', async (_request, reply) => {
      if (this.stopping) void reply.header('connection', 'close');
    });
    fastify.addHook('onResponse', async (request) => {
      if (this.stopping) request.raw.socket.destroySoon();
    });
  }

  /** The first thing Nest does when it closes. */
  onModuleDestroy(): void {
    this.stopping = true;
  }
}
