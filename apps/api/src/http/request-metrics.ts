import type { FastifyReply, FastifyRequest } from 'fastify';
import { Histogram } from 'prom-client';
import { registry } from '#telemetry/registry.js';
import { waitedMs } from './client-left.js';

const duration = new Histogram({
  name: 'rejoinder_http_request_duration_seconds',
  help: 'From a request to the headers of its answer, without the time it waited for a job because its client asked for that.',
  labelNames: ['method', 'route', 'status'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  registers: [registry],
});

/** The known methods. All others count as one value: clients may make up any number of them. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PATCH', 'OPTIONS', 'PUT', 'DELETE']);

/** Paths of the contract. Other pages (Swagger UI, the playground) are no operations. */
const CONTRACT = /^\/(api\/v1|health)\//;

/** Routes as the contract writes them, keyed by the framework's form. */
const routes = new Map<string | undefined, string>();

/** The route of a request as the contract writes it, or `unknown`; never a text that a client sent. */
export function routeOf(request: FastifyRequest): string {
  const { url } = request.routeOptions;
  let route = routes.get(url);
  if (route === undefined) {
    route = url !== undefined && CONTRACT.test(url) ? url.replace(/:(\w+)/g, '{$1}') : 'unknown';
    routes.set(url, route);
  }
  return route;
}

/** The method of a request, if some route has it. */
export function methodOf({ method }: FastifyRequest): string {
  return METHODS.has(method) ? method : '_OTHER';
}

/** Measures a request whose answer is about to begin. */
export function measureRequest(request: FastifyRequest, reply: FastifyReply): void {
  const seconds = Math.max(0, reply.elapsedTime - waitedMs(reply)) / 1_000;
  duration.observe({ method: methodOf(request), route: routeOf(request), status: reply.statusCode }, seconds);
}
