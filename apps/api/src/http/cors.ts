import type { FastifyInstance } from 'fastify';
import { isHidden } from './hidden.js';
import type { KnownRoutes } from './routes.js';
import { varyBy } from './vary.js';

/** Headers that pages of other origins may send, whether they ask or not. Headers that Fetch always allows are not listed. */
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

/** Headers of an answer that these pages may read: each header of the contract that browsers hide by default. */
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

/** How long a browser remembers a preflight's answer, in seconds: the longest time that Chromium accepts. */
const REMEMBERED_SECONDS = '7200';

/** Origins of pages on this machine, at any port. */
const LOCALHOST = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;

/** How many names of headers beside ours a page may ask for, and how long each may be. */
const MOST_ASKED = 64;
const TOKEN = /^[\w!#$%&'*+.^`|~-]{1,100}$/;

/**
 * The origins whose pages may use the paths below `prefix` (CORS, Fetch standard, section 3.3). Pages of other origins get no CORS headers.
 * In development, pages of this machine may use the paths too, at any port: a front-end's own server takes any free port. The API has no
 * cookies, so it never allows credentials in the sense of Fetch: a page sends its token.
 */
export class Origins {
  private readonly allowed: ReadonlySet<string>;

  constructor(
    origins: readonly string[],
    private readonly prefix: string,
    private readonly localhost = false,
  ) {
    this.allowed = new Set(origins);
  }

  /** Whether any origin is allowed. */
  get any(): boolean {
    return this.allowed.size > 0 || this.localhost;
  }

  /** Whether pages of an origin may use an address, which begins with its path. */
  mayUse(origin: string | undefined, address: string): origin is string {
    if (origin === undefined || !address.startsWith(this.prefix)) return false;
    return this.allowed.has(origin) || (this.localhost && LOCALHOST.test(origin));
  }

  /** The headers that let a page of `origin` read an answer. */
  headersFor(origin: string | undefined, address: string): Readonly<Record<string, string>> {
    if (!this.any) return {};
    if (!this.mayUse(origin, address)) return { vary: 'Origin' };
    return {
      vary: 'Origin',
      'access-control-allow-origin': origin,
      'access-control-expose-headers': EXPOSED_HEADERS.join(', '),
    };
  }
}

/** Adds these headers to all answers. Call this before adding any hook that may refuse a request: pages read refusals, too. */
export function sendOrigins(fastify: FastifyInstance, origins: Origins): void {
  if (!origins.any) return;
  fastify.addHook('onRequest', ({ headers, url }, reply, done) => {
    void reply.headers(origins.headersFor(headers.origin, url));
    done();
  });
}

/**
 * Answers preflights. A preflight for an operators' path is answered like one for an unknown path, so that no foreign page can use it. Call
 * this before `answerWrongMethods`, which would answer 405 to a preflight.
 */
export function answerPreflights(fastify: FastifyInstance, origins: Origins, routes: KnownRoutes): void {
  if (!origins.any) return;
  fastify.addHook('onRequest', ({ method, headers, url }, reply, done) => {
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return done();
    const path = url.split('?', 1)[0] ?? '';
    const methods = origins.mayUse(headers.origin, path) && !isHidden(path) ? routes.methodsOf(path) : [];
    // An unknown path is answered as for any method.
    if (methods.length === 0) return done();
    varyBy(reply, 'Access-Control-Request-Headers');
    void reply
      .status(204)
      .headers({
        'access-control-allow-methods': methods.join(', '),
        'access-control-allow-headers': allowedHeaders(headers['access-control-request-headers']).join(', '),
        'access-control-max-age': REMEMBERED_SECONDS,
        'content-length': '0',
      })
      .send();
  });
}

/**
 * Our headers, and those that a page asks for: monitoring tools add their own to a page's requests (`baggage`, `sentry-trace`, `newrelic`,
 * `x-datadog-trace-id`). They are safe to allow, since any other client may send them, too.
 */
function allowedHeaders(asked = ''): string[] {
  const known = new Set(ALLOWED_HEADERS.map((name) => name.toLowerCase()));
  const names = asked.split(',').map((name) => name.trim().toLowerCase());
  const others = names.filter((name) => TOKEN.test(name) && !known.has(name));
  return [...ALLOWED_HEADERS, ...[...new Set(others)].slice(0, MOST_ASKED)];
}
