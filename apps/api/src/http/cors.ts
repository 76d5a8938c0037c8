import cors, { type FastifyCorsOptions } from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import type { KnownRoutes } from './routes.js';
import { isHidden } from './hidden.js';

/** What pages of other origins may send. A header that Fetch allows anyway is not listed; one that is missing here fails in the browser. */
export const ALLOWED_HEADERS = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'Prefer',
  'X-Request-Id',
  'traceparent',
  'tracestate',
];

/** What they may read of an answer: every header of the contract that a browser does not show anyway. */
export const EXPOSED_HEADERS = [
  'Allow',
  'ETag',
  'Idempotent-Replayed',
  'Link',
  'Location',
  'Preference-Applied',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'WWW-Authenticate',
  'X-Request-Id',
];

/** How long a browser remembers what it may send, in seconds: as long as Chromium lets it. */
const REMEMBERED_SECONDS = 7_200;

/**
 * Lets pages of `origins` use what is below `prefix` (CORS, Fetch standard, section 3.3); to all others nothing is said. Without origins nothing
 * is hooked in.
 *
 * There are no cookies there, so credentials in the sense of Fetch are never allowed: a page sends the token that it was given. An address
 * of operators answers like an unknown one, as everywhere: its preflight finds nothing, so that no page elsewhere can use it.
 * Must be called before the wrong methods are answered, among which a preflight would be one.
 */
export async function allowOrigins(
  fastify: FastifyInstance,
  origins: readonly string[],
  prefix: string,
  routes: KnownRoutes,
): Promise<void> {
  if (origins.length === 0) return;
  const allowed = new Set(origins);
  const none: FastifyCorsOptions = { origin: false };
  await fastify.register(cors, {
    delegator: (request, done) => {
      const { origin, 'access-control-request-method': asked } = request.headers;
      const path = request.url.split('?', 1)[0] ?? '';
      if (origin === undefined || !allowed.has(origin) || !path.startsWith(prefix)) return done(null, none);
      const preflight = request.method === 'OPTIONS' && asked !== undefined;
      const methods = preflight && !isHidden(path) ? routes.methodsOf(path) : [];
      done(null, {
        origin,
        exposedHeaders: EXPOSED_HEADERS,
        // Where there is nothing, it is said by whoever says so of any method.
        preflight: methods.length > 0,
        methods: [...methods],
        allowedHeaders: ALLOWED_HEADERS,
        maxAge: REMEMBERED_SECONDS,
      });
    },
  });
}
