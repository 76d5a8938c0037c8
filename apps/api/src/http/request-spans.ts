import type { ServerResponse } from 'node:http';
import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { areTracesKept, failSpan, type Span, SpanKind, startSpan } from '#telemetry/traces.js';
import { methodOf, routeOf } from './request-metrics.js';

const spans = new WeakMap<FastifyRequest, Span>();

/** The span of a request; undefined: no traces are kept. */
export function spanOf(request: FastifyRequest): Span | undefined {
  return spans.get(request);
}

/**
 * Makes a span for each request to the contract's paths, as a child of the caller's span if the request names one. The span ends with the
 * answer, or with the stream. Without traces no hook is added.
 */
@Injectable()
export class RequestSpans {
  constructor(host: HttpAdapterHost) {
    if (!areTracesKept()) return;
    host.httpAdapter.getInstance<FastifyInstance>().addHook('onRequest', (request, reply, done) => {
      const route = routeOf(request);
      if (route.startsWith('/api/')) this.begin(request, reply.raw, route);
      done();
    });
  }

  private begin(request: FastifyRequest, response: ServerResponse, route: string): void {
    const method = methodOf(request);
    const caller = request.headers['traceparent'];
    const span = startSpan(`${method} ${route}`, SpanKind.SERVER, typeof caller === 'string' ? caller : undefined, {
      'http.request.method': method,
      'http.route': route,
      'url.scheme': request.protocol,
      'rejoinder.request_id': request.id,
    });
    if (span === undefined) return;
    spans.set(request, span);
    response.once('close', () => {
      if (response.headersSent) span.setAttribute('http.response.status_code', response.statusCode);
      if (response.statusCode >= 500) failSpan(span, String(response.statusCode));
      span.end();
    });
  }
}
