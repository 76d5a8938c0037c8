import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

/** A Content-Security-Policy: its directives with their sources. */
type Policy = Readonly<Record<string, readonly string[]>>;

/**
 * Headers of an answer that is no page: it loads and runs nothing, stands in no frame, is no other site's image or script, and is read by
 * its type only.
 */
export const SECURITY_HEADERS = headersOf({ 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] });

/**
 * Headers of one of our pages: it may load what `policy` says and nothing else, posts no forms, has the base that it says, and stands in no
 * frame. No window of another site that it opens, or that opened it, can reach into it.
 */
export function pageHeaders(policy: Policy): Readonly<Record<string, string>> {
  const all = { 'default-src': ["'none'"], 'base-uri': ["'none'"], 'form-action': ["'none'"], ...policy };
  return headersOf({ ...all, 'frame-ancestors': ["'none'"] }, 'same-origin');
}

/** Adds {@link SECURITY_HEADERS} to every answer. A page sets its own instead. */
export function sendSecurityHeaders(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (_request, reply, done) => {
    void reply.headers(SECURITY_HEADERS);
    done();
  });
}

/**
 * What Helmet says, asked once. As a plugin it would be asked for each request, 7 µs of it, and set the headers on Node's own answer, which
 * keeps them for as long as a stream is open.
 *
 * Left out is what no browser heeds any more (`X-XSS-Protection`, `X-Download-Options`, `X-Permitted-Cross-Domain-Policies`), what
 * has no bearing here (`X-DNS-Prefetch-Control`, `Origin-Agent-Cluster`), and `Strict-Transport-Security`: it may be said over TLS only
 * (RFC 6797, section 7.2), and TLS ends before us. Whoever ends it says it.
 */
function headersOf(directives: Policy, opener?: 'same-origin'): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  const answer = {
    setHeader: (name: string, value: string) => (headers[name.toLowerCase()] = value),
    removeHeader: () => undefined,
  };
  helmet({
    contentSecurityPolicy: { useDefaults: false, directives },
    crossOriginOpenerPolicy: opener === undefined ? false : { policy: opener },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  })({} as IncomingMessage, answer as unknown as ServerResponse, () => undefined);
  return Object.freeze(headers);
}
