import type { FastifyInstance, FastifyRequest } from 'fastify';
import { nothingHere, ServiceError } from '#errors/service-error.js';
import { isHidden } from './hidden.js';

/** The methods that a path knows, in order; none: there is nothing at it, or nothing that everybody may know of. */
export type KnownMethods = (path: string) => readonly string[];

/** Learns which methods the routes know that are declared from now on. */
export function learnMethods(fastify: FastifyInstance): KnownMethods {
  const known = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  fastify.addHook('onRoute', (route) => {
    if (route.url.includes('*') || isHidden(route.url)) return;
    const entry = known.get(route.url) ?? { pattern: pathPattern(route.url), methods: new Set<string>() };
    for (const method of [route.method].flat()) entry.methods.add(method);
    known.set(route.url, entry);
  });

  return (path) => {
    const methods = [...known.values()].filter(({ pattern }) => pattern.test(path)).flatMap((e) => [...e.methods]);
    return [...new Set(methods)].sort();
  };
}

/**
 * Tells a path that does not exist (404) from a method that a path does not know (405 with `Allow`, RFC 9110,
 * section 15.5.6). Fastify answers 404 to both. What is the operators' stays 404: a 405 would tell everybody that it is there.
 */
export function answerWrongMethods(fastify: FastifyInstance, methodsOf: KnownMethods): void {
  fastify.addHook('onRequest', async (request: FastifyRequest) => {
    // Where pages of other origins are let in, OPTIONS has a route that is all of them; a preflight has been answered by now.
    if (!request.is404 && request.method !== 'OPTIONS') return;
    const methods = methodsOf(request.url.split('?', 1)[0] ?? '');
    // Before a body is looked at, so that nothing else is ever said of such an address.
    if (methods.length === 0) throw nothingHere();
    throw new ServiceError('method_not_allowed', `${request.method} is not possible here.`, {
      headers: { allow: methods.join(', ') },
    });
  });
}

function pathPattern(url: string): RegExp {
  const parts = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')));
  return new RegExp(`^${parts.join('/')}$`);
}
