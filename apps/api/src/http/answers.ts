import { Injectable, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { UserTags } from '#database/user-tags.js';
import { logLine } from '#process/log-line.js';
import type { Caller } from '../auth/jwt.strategy.js';
import { measureRequest, methodOf, routeOf } from './request-metrics.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Logs and measures each answer when its headers leave. That moment shows how fast the service is: the client decides how long a body
 * takes, and the job how long a stream takes. After that moment a stream also needs nothing of its request, so the request is freed.
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

  /** The headers of the answer are about to leave. Event streams call this, since they pass no hook of the framework. */
  begins(request: FastifyRequest, reply: FastifyReply): void {
    measureRequest(request, reply);
    const route = routeOf(request);
    const { user } = request as { user?: Caller };
    const entry = logLine('answered', {
      request_id: request.id,
      method: methodOf(request),
      route,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      ...idsIn(request.params),
      ...(user !== undefined && { user: this.users.tagOf(user.userId) }),
    });
    // Probes come every few seconds and are not worth a line. Paths outside the contract are the files of a page.
    if (route.startsWith('/health/') || route === 'unknown') this.logger.debug(entry);
    else this.logger.log(entry);
  }
}

/** The ids in a request's path, if they are ids: a path may hold anything. */
function idsIn(params: unknown): { chat_id?: string; job_id?: string } {
  const { chat_id, job_id } = (params ?? {}) as Record<string, string | undefined>;
  return {
    ...(chat_id !== undefined && UUID.test(chat_id) && { chat_id: chat_id.toLowerCase() }),
    ...(job_id !== undefined && UUID.test(job_id) && { job_id: job_id.toLowerCase() }),
  };
}
