import type { FastifyInstance } from 'fastify';
import { nothingHere, ServiceError } from '#errors/service-error.js';
import { isHidden } from './hidden.js';

/** The routes that are declared after it is made, by their paths. What is the operators' is not among them. */
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

  /** The methods that a path knows, in order; none: there is nothing at it, or nothing that everybody may know of. */
  methodsOf(path: string): readonly string[] {
    const named = this.routes.get(decoded(path));
    const routes = named ? [named] : [...this.routes.values()].filter(({ pattern }) => pattern.test(decoded(path)));
    return [...new Set(routes.flatMap(({ methods }) => [...methods]))].sort();
  }

  /** Whether a path that is known by this very name does not know the method: then it is no other path's parameter either. */
  knowsNotBy(path: string, method: string): boolean {
    return this.routes.get(decoded(path))?.methods.has(method) === false;
  }
}

/**
 * Tells a path that does not exist (404) from a method that a path does not know (405 with `Allow`, RFC 9110,
 * section 15.5.6). Fastify answers 404 to both. What is the operators' stays 404: a 405 would tell everybody that it is there.
 */
export function answerWrongMethods(fastify: FastifyInstance, routes: KnownRoutes): void {
  fastify.addHook('onRequest', ({ method, url, is404 }, _reply, done) => {
    const [path = ''] = url.split('?', 1);
    // A preflight has been answered by now.
    if (!is404 && !routes.knowsNotBy(path, method)) return done();
    const methods = routes.methodsOf(path);
    // Before a body is looked at, so that nothing else is ever said of such an address.
    if (methods.length === 0) throw nothingHere();
    throw new ServiceError('method_not_allowed', `${method} is not possible here.`, {
      headers: { allow: methods.join(', ') },
    });
  });
}

/** The path as routes are looked for: written with fewer escapes it is the same (RFC 3986, section 6.2.2.2). */
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
