import { Injectable, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { UserTags } from '#database/user-tags.js';
import { line } from '#process/log-line.js';
import type { Caller } from '../auth/jwt.strategy.js';
import { measureRequest, methodOf, routeOf } from '../metrics/request-metrics.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Looks at each answer in the moment in which its headers are about to leave: one line of the log, and its metrics. That is when
 * a service has shown how quick it is: how long a body takes is the client's doing, and a stream's as long as its job. Nor is a
 * request held on to until then: of a stream only what it needs stays in memory.
 */
@Injectable()
export class Answers {
  private readonly logger = new Logger('http');

  constructor(
    host: HttpAdapterHost,
    private readonly users: UserTags,
  ) {
    host.httpAdapter.getInstance<FastifyInstance>().addHook('onSend', (request, reply, payload, done) => {
      this.begins(request, reply);
      done(null, payload);
    });
  }

  /** The headers of the answer are about to leave. To be called by streams of events, which pass no hook of the framework. */
  begins(request: FastifyRequest, reply: FastifyReply): void {
    measureRequest(request, reply);
    const route = routeOf(request);
    const { user } = request as { user?: Caller };
    const said = line('answered', {
      request_id: request.id,
      method: methodOf(request),
      route,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      ...idsIn(request.params),
      ...(user !== undefined && { user: this.users.tagOf(user.userId) }),
    });
    // Probes come every few seconds and say nothing; what is no operation is a page's files.
    if (route.startsWith('/health/') || route === 'unknown') this.logger.debug(said);
    else this.logger.log(said);
  }
}

/** The ids in a request's path, if they are any: a path may hold whatever a client likes. */
function idsIn(params: unknown): { chat_id?: string; job_id?: string } {
  const { chat_id, job_id } = (params ?? {}) as Record<string, string | undefined>;
  return {
    ...(chat_id !== undefined && UUID.test(chat_id) && { chat_id: chat_id.toLowerCase() }),
    ...(job_id !== undefined && UUID.test(job_id) && { job_id: job_id.toLowerCase() }),
  };
}
