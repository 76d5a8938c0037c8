import accepts from '@fastify/accepts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ServiceError } from '#errors/service-error.js';
import { isHidden } from './hidden.js';

const JSON_TYPE = 'application/json';
const EVENTS_TYPE = 'text/event-stream';
const LINES_TYPE = 'application/jsonl';

/** What the routes of the API offer, by the end of their path; the first is what a caller gets who does not mind. */
const OFFERS: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\/jobs\/:job_id\/events$/, [EVENTS_TYPE]],
  [/\/me\/export$/, [LINES_TYPE]],
  [/\/turns$/, [JSON_TYPE, EVENTS_TYPE]],
  [/$/, [JSON_TYPE]],
];

function chosenType(request: FastifyRequest): string | undefined {
  const [, offers] = OFFERS.find(([path]) => path.test(request.routeOptions.url ?? '')) ?? [];
  const chosen = request.accepts().type([...(offers ?? [])]);
  return typeof chosen === 'string' ? chosen : undefined;
}

/** Whether the caller would rather have events than JSON, of a route that offers both. */
export function prefersEvents(request: FastifyRequest): boolean {
  return chosenType(request) === EVENTS_TYPE;
}

/**
 * Refuses callers of the API that cannot read what a route has to say (406, RFC 9110, section 15.5.7). Errors are JSON
 * all the same. What is the operators' says so itself, once it is known who asks.
 */
export async function negotiate(fastify: FastifyInstance, prefix: string): Promise<void> {
  await fastify.register(accepts);
  fastify.addHook('onRequest', async (request) => {
    if (request.is404 || !request.url.startsWith(prefix) || isHidden(request.routeOptions.url ?? '')) return;
    assertAcceptable(request);
  });
}

/** @throws ServiceError `not_acceptable` when the caller can read nothing that the route has to say */
export function assertAcceptable(request: FastifyRequest): void {
  // `application/json; charset=utf-8` asks for JSON: of a type's parameters only its weight counts here.
  const { headers } = request.raw;
  if (headers.accept !== undefined) headers.accept = headers.accept.replace(/;(?!\s*q\s*=)[^,;]*/gi, '');
  if (chosenType(request) === undefined) {
    throw new ServiceError('not_acceptable', 'What is here cannot be had in a type that Accept allows.');
  }
}
