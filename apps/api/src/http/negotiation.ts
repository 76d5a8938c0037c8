import accepts from '@fastify/accepts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ServiceError } from '#errors/service-error.js';

const JSON_TYPE = 'application/json';
const EVENTS_TYPE = 'text/event-stream';
const LINES_TYPE = 'application/jsonl';

/** The media types of each route, by the end of its path. A caller without a preference gets the first. */
const OFFERS: readonly (readonly [string, readonly string[]])[] = [
  ['/jobs/:job_id/events', [EVENTS_TYPE]],
  ['/export', [LINES_TYPE]],
  ['/turns', [JSON_TYPE, EVENTS_TYPE]],
  ['', [JSON_TYPE]],
];

function chosenType(request: FastifyRequest): string | undefined {
  const { url = '' } = request.routeOptions;
  const [, offers = []] = OFFERS.find(([end]) => url.endsWith(end)) ?? [];
  // Most callers send one of these values, which need no parsing.
  const { accept } = request.headers;
  if (accept === undefined || accept === '*/*') return offers[0];
  if (offers.includes(accept)) return accept;
  const chosen = request.accepts().type([...offers]);
  return typeof chosen === 'string' ? chosen : undefined;
}

/** Whether the caller prefers events to JSON, on a route that offers both. */
export function prefersEvents(request: FastifyRequest): boolean {
  return chosenType(request) === EVENTS_TYPE;
}

/** Gives each request the parsed `Accept` header. */
export async function negotiate(fastify: FastifyInstance): Promise<void> {
  await fastify.register(accepts);
}

/**
 * Refuses callers that accept nothing of what a route offers (406, RFC 9110, section 15.5.7). Errors are always JSON. @throws ServiceError
 * `not_acceptable`
 */
export function assertAcceptable(request: FastifyRequest): void {
  // `application/json; charset=utf-8` asks for JSON: only the weight counts among a type's parameters.
  const { headers } = request.raw;
  if (headers.accept?.includes(';') === true)
    headers.accept = headers.accept.replace(/;(?!\s*q\s*=)(?:[^,;"]|"(?:[^"\\]|\\.)*"?)*/gi, '');
  if (chosenType(request) === undefined) {
    throw new ServiceError('not_acceptable', 'Accept allows none of the types that this resource has.');
  }
}
