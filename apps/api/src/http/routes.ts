import type { FastifyInstance } from 'fastify';
import { nothingHere, ServiceError } from '#errors/service-error.js';
import { isHidden } from './hidden.js';

/** Records the routes that are declared from now on, by path, except operators' routes. */
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

  /** The methods of a path, in order; none: the path does not exist, or belongs to operators. */
  methodsOf(path: string): readonly string[] {
    const named = this.routes.get(decoded(path));
    const routes = named ? [named] : [...this.routes.values()].filter(({ pattern }) => pattern.test(decoded(path)));
    return [...new Set(routes.flatMap(({ methods }) => [...methods]))].sort();
  }

  /** Whether this exact path exists, but not with this method. A path with parameters that also matches is not meant then. */
  knowsNotBy(path: string, method: string): boolean {
    return this.routes.get(decoded(path))?.methods.has(method) === false;
  }
}

/**
 * Tells an unknown path (404) from a path without this method (405 with `Allow`, RFC 9110, section 15.5.6). Fastify answers both with 404.
 * Operators' paths stay 404: a 405 would reveal that they exist.
 */
export function answerWrongMethods(fastify: FastifyInstance, routes: KnownRoutes): void {
  fastify.addHook('onRequest', ({ method, url, is404 }, _reply, done) => {
    const [path = ''] = url.split('?', 1);
    // A preflight was answered before.
    if (!is404 && !routes.knowsNotBy(path, method)) return done();
    const methods = routes.methodsOf(path);
    // This runs before the body is read, so that no fault of the body is answered first.
    if (methods.length === 0) throw nothingHere();
    throw new ServiceError('method_not_allowed', `${method} is not possible here.`, {
      headers: { allow: methods.join(', ') },
    });
  });
}

/** Decodes needless escapes, as the router does: they do not change a path (RFC 3986, section 6.2.2.2). */
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
