import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ServiceError } from '#errors/service-error.js';

/**
 * Headers that a request may have only once. Node keeps the first of several, a proxy may keep the last. Both must see the same user, host
 * and type (RFC 9110, section 5.3; for `Host` RFC 9112, section 3.2, demands it).
 */
const SINGLE = ['authorization', 'content-type', 'host'];

/** Their lengths: most other headers have another length, which is quick to compare. */
const SINGLE_LENGTHS = new Set(SINGLE.map(({ length }) => length));

/** `uri-host [ ":" port ]` (RFC 9112, section 3.2); empty if a client knows no name. */
const HOST = /^(\[[\da-z:._~-]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?$/i;

/** The start of a target in absolute form: scheme and authority (RFC 9112, section 3.2.2). */
const ABSOLUTE = /^https?:\/\/([^/?#]+)/i;

/**
 * The target of a request as a path. A proxy may send the absolute form, which a server must accept. Its host then overrides the `Host`
 * header (RFC 9112, section 3.2.2).
 */
export function originForm({ url = '/', headers }: IncomingMessage): string {
  const [start, authority = ''] = ABSOLUTE.exec(url) ?? [];
  if (start === undefined) return url;
  if (headers.host !== undefined) headers.host = authority;
  const path = url.slice(start.length);
  return path.startsWith('/') ? path : `/${path}`;
}

/**
 * Refuses request heads that Node accepts and other servers may read differently. This check comes first, so it applies to all addresses.
 */
export function checkHeads(fastify: FastifyInstance): void {
  const { server } = fastify;
  // By default Node drops header lines after the two thousandth without an error. Their total size is limited anyway.
  server.maxHeadersCount = 0;
  // An unknown expectation (RFC 9110, section 10.1.1, lets a server refuse it) is ignored.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  fastify.addHook('onRequest', ({ raw, url, routeOptions }, reply, done) => {
    const fault = headFault(raw);
    // Servers may also disagree on where its body ends.
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
  // `chunked` is the only transfer coding that Node decodes, and HTTP/1.0 has none (RFC 9112, section 6.1).
  if (coding !== undefined && (httpVersion === '1.0' || !/^chunked$/i.test(coding))) {
    return 'The request has an unknown Transfer-Encoding.';
  }
  return undefined;
}

function targetFault(url: string, route: string | undefined): string | undefined {
  // A target has no fragment (RFC 9112, section 3.2), and the router would ignore it.
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
