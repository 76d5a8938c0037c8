import type { FastifyInstance } from 'fastify';
import { nothingHere, ServiceError } from '#errors/service-error.js';
import { isHidden } from './hidden.js';

/** Records the routes that are declared after this call, by path. Operators' routes are not among them. */
export class KnownRoutes {
  private readonly routes = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  constructor(fastify: FastifyInstance) {
    fastify.addHook('onRoute', ({ url, method }) => {
      if (url.includes('*') || isHidden(url)) return;
      const route = this.routes.get(url) ?? { pattern: pathPattern(url), methods: new Set<string>() };
      for (const each of [method].flat()) route.methods.add(each);
      this.routes.set(url, route);
    });
  }

  /** The methods of a path, in order; none: the path does not exist, or not for everybody. */
  methodsOf(path: string): readonly string[] {
    const named = this.routes.get(decoded(path));
    const routes = named ? [named] : [...this.routes.values()].filter(({ pattern }) => pattern.test(decoded(path)));
    return [...new Set(routes.flatMap(({ methods }) => [...methods]))].sort();
  }

  /** Whether this exact path exists, but not with this method. It is then no parameter of another path either. */
  knowsNotBy(path: string, method: string): boolean {
    return this.routes.get(decoded(path))?.methods.has(method) === false;
  }
}

/**
 * Tells an unknown path (404) from a path without this method (405 with `Allow`, RFC 9110, section 15.5.6). Fastify answers both with 404.
 * Operators' paths stay 404: a 405 would tell everybody that they exist.
 */
export function answerWrongMethods(fastify: FastifyInstance, routes: KnownRoutes): void {
  fastify.addHook('onRequest', ({ method, url, is404 }, _reply, done) => {
    const [path = ''] = url.split('?', 1);
    // A preflight was answered before.
    if (!is404 && !routes.knowsNotBy(path, method)) return done();
    const methods = routes.methodsOf(path);
    // This runs before the body is read, so that such an address has no other answer.
    if (methods.length === 0) throw nothingHere();
    throw new ServiceError('method_not_allowed', `${method} is not possible here.`, {
      headers: { allow: methods.join(', ') },
    });
  });
}

/** The path in the form in which routes are found: written with fewer escapes it is the same (RFC 3986, section 6.2.2.2). */
function decoded(path: string): string {
  if (!path.includes('%')) return path;
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

function pathPattern(url: string): RegExp {
  const parts = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')));
  return new RegExp(`^${parts.join('/')}$`);
}
