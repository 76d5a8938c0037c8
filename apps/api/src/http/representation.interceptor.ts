import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { userIdOf } from '../auth/caller.decorator.js';
import { PUBLIC } from '../auth/public.decorator.js';
import { Answers } from './answers.js';
import { etagOf } from './etag.js';
import { EVENT_STREAM_HEADERS, EventStream } from './event-stream.js';
import { LINES_HEADERS, LineStream } from './line-stream.js';
import { Preconditions } from './preconditions.js';
import { varyBy } from './vary.js';

/**
 * Turns a handler's result into bytes once. Answers to GET get a strong ETag of these bytes, and become 304 if the caller has them already.
 * Streams write their answers themselves, and have no ETag.
 */
@Injectable()
export class RepresentationInterceptor implements NestInterceptor {
  constructor(
    private readonly reflector: Reflector,
    private readonly answers: Answers,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    return next.handle().pipe(
      map((body: unknown) => {
        if (body instanceof EventStream) return this.events(body, request, reply);
        if (body instanceof LineStream) return this.lines(body, request, reply);
        if (body === undefined) {
          // Caches may keep a 204 unless a header forbids it (RFC 9110, section 15.1).
          void reply.header('cache-control', 'no-store');
          return undefined;
        }
        const json = JSON.stringify(body);
        if (this.reflector.getAllAndOverride<boolean>(PUBLIC, [context.getHandler(), context.getClass()])) {
          // Health must never be answered from a cache.
          void reply.header('cache-control', 'no-store').type('application/json; charset=utf-8');
          return json;
        }
        void reply.header('cache-control', 'private, no-cache');
        varyBy(reply, 'Authorization', 'Accept');
        if (request.method === 'GET' || request.method === 'HEAD') {
          const etag = etagOf(json, userIdOf(request));
          void reply.header('etag', etag);
          if (Preconditions.of(request).isKnown(etag)) {
            void reply.status(304);
            return undefined;
          }
        }
        void reply.type('application/json; charset=utf-8');
        return json;
      }),
    );
  }

  private events(stream: EventStream, request: FastifyRequest, reply: FastifyReply): void {
    void reply.headers(EVENT_STREAM_HEADERS);
    varyBy(reply, 'Authorization', 'Accept');
    if (request.method === 'HEAD') return stream.destroy();
    // This answer passes no hook of the framework.
    this.answers.begins(request, reply);
    stream.open(reply);
  }

  private lines(stream: LineStream, request: FastifyRequest, reply: FastifyReply): void {
    void reply.headers(LINES_HEADERS);
    varyBy(reply, 'Authorization', 'Accept');
    if (request.method === 'HEAD') stream.destroy();
    else stream.open(reply);
  }
}
