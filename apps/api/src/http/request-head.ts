import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ServiceError } from '#errors/service-error.js';

/**
 * Headers that may come only once. Node keeps the first of several, another server may keep the last: everything on the way must see the
 * same user, host and type as we do (RFC 9110, section 5.3; for `Host` RFC 9112, section 3.2, demands it).
 */
const SINGLE = ['authorization', 'content-type', 'host'];

/** Their lengths, which tell most other headers apart at once. */
const SINGLE_LENGTHS = new Set(SINGLE.map(({ length }) => length));

/** `uri-host [ ":" port ]` (RFC 9112, section 3.2); empty where a client knows no name. */
const HOST = /^(\[[\da-z:._~-]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?$/i;

/** The start of a target in absolute form: scheme and authority (RFC 9112, section 3.2.2). */
const ABSOLUTE = /^https?:\/\/([^/?#]+)/i;

/**
 * The target of a request as a path. In absolute form, as proxies send it, it must be understood, and its host goes before what the
 * header says (RFC 9112, section 3.2.2).
 */
export function originForm({ url = '/', headers }: IncomingMessage): string {
  const [start, authority = ''] = ABSOLUTE.exec(url) ?? [];
  if (start === undefined) return url;
  if (headers.host !== undefined) headers.host = authority;
  const path = url.slice(start.length);
  return path.startsWith('/') ? path : `/${path}`;
}

/**
 * Refuses request heads that Node accepts and others may read differently, before anything else is checked. So it holds for every address
 * alike.
 */
export function checkHeads(fastify: FastifyInstance): void {
  const { server } = fastify;
  // Node would silently drop what comes after two thousand header lines. Their size is bounded anyway.
  server.maxHeadersCount = 0;
  // An unknown expectation (RFC 9110, section 10.1.1, lets a server refuse it) is ignored.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  fastify.addHook('onRequest', ({ raw, url, routeOptions }, reply, done) => {
    const fault = headFault(raw);
    // The end of its body may be read in two ways, too.
    if (fault !== undefined) reply.raw.setHeader('connection', 'close');
    const message = fault ?? targetFault(url, routeOptions.url);
    if (message !== undefined) throw new ServiceError('malformed_request', message);
    done();
  });
}

function headFault({ httpVersion, rawHeaders, headers }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'The request is not of HTTP/1.1.';
  const seen: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const given = rawHeaders[at] ?? '';
    if (!SINGLE_LENGTHS.has(given.length)) continue;
    const name = given.toLowerCase();
    if (!SINGLE.includes(name)) continue;
    if (seen.includes(name)) return `The request has ${name} twice.`;
    seen.push(name);
  }
  if (headers.host === undefined && httpVersion === '1.1') return 'The request has no Host.';
  if (!HOST.test(headers.host ?? '')) return 'The request has no valid Host.';
  const coding = headers['transfer-encoding'];
  // This is the only coding that Node accepts and also undoes, and HTTP/1.0 has none (RFC 9112, section 6.1).
  if (coding !== undefined && (httpVersion === '1.0' || !/^chunked$/i.test(coding))) {
    return 'The request has an unknown Transfer-Encoding.';
  }
  return undefined;
}

function targetFault(url: string, route: string | undefined): string | undefined {
  // No part of a request's target (RFC 9112, section 3.2); routes would be found without it.
  if (url.includes('#')) return 'The address has a fragment.';
  // Probes may send what they like.
  if (route?.startsWith('/health/') === true) return undefined;
  const query = url.indexOf('?');
  if (query < 0) return undefined;
  try {
    decodeURIComponent(url.slice(query + 1));
    return undefined;
  } catch {
    return 'The address cannot be decoded.';
  }
}
