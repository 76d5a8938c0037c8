import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parse } from 'secure-json-parse';
import { ServiceError } from '#errors/service-error.js';
import { hasBody } from './connections.js';
import { repeatedName } from './repeated-name.js';

/** Deepest nesting of a body. No request needs more, and later code walks a body recursively. */
const LARGEST_DEPTH = 8;

/** Longest part of a request that an error repeats, in characters. */
const LONGEST_NAME = 100;

/** JSON is UTF-8 (RFC 8259, section 8.1); a client may say so. */
const UTF8 = /^"?utf-?8"?$/i;

/**
 * Accepts only JSON bodies (RFC 8259). Fastify's own parser replaces invalid UTF-8 and accepts text and forms. An empty body means "no
 * fields": many clients send the content type without a body.
 */
export function acceptJsonOnly(fastify: FastifyInstance): void {
  const { bodyLimit: largest = 0 } = fastify.initialConfig;
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseObject(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  // Node would send `100 Continue` at once. Sent here, it comes only after the headers are checked, so a client does not send a refused
  // body (RFC 9110, section 10.1.1).
  fastify.server.on('checkContinue', (request, response) => fastify.server.emit('request', request, response));
  fastify.addHook('preParsing', (request, reply, _payload, done) => {
    // The body of a GET or a HEAD is ignored.
    if (request.method === 'GET' || request.method === 'HEAD' || !hasBody(request.raw)) return done();
    if (Number(request.headers['content-length']) > largest) {
      throw new ServiceError('payload_too_large', 'The body is too large.');
    }
    assertPlain(request);
    if (/^100-continue$/i.test(request.headers.expect ?? '')) reply.raw.writeContinue();
    done();
  });
}

/** @throws ServiceError `unsupported_media_type` for a body that is compressed, no JSON, or not UTF-8 by its headers */
function assertPlain({ headers }: FastifyRequest): void {
  if (!/^(identity)?$/i.test(headers['content-encoding'] ?? '')) {
    // The header lists the accepted codings (RFC 9110, section 15.5.16).
    throw new ServiceError('unsupported_media_type', 'The body must have no Content-Encoding.', {
      headers: { 'accept-encoding': 'identity' },
    });
  }
  const [type = '', ...parameters] = (headers['content-type'] ?? '').split(';');
  if (type.trim().toLowerCase() !== 'application/json') {
    throw new ServiceError('unsupported_media_type', 'The body must be application/json.');
  }
  for (const parameter of parameters) {
    const [name = '', value = ''] = parameter.split('=', 2).map((part) => part.trim());
    if (/^charset$/i.test(name) && !UTF8.test(value)) {
      throw new ServiceError('unsupported_media_type', 'The body must be application/json in UTF-8.');
    }
  }
}

/** One byte order mark may come first (RFC 8259, section 8.1). The parser skips it. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function parseObject(body: Buffer): object {
  if (body.length === 0) return {};
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(body);
    // `__proto__` and `constructor.prototype` are refused rather than dropped.
    value = parse(text);
  } catch (cause) {
    throw new ServiceError('malformed_request', 'The body is not valid JSON in UTF-8.', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ServiceError('validation_failed', 'The body must be a JSON object.');
  }
  if (isDeeperThan(LARGEST_DEPTH, value)) throw new ServiceError('validation_failed', 'The body is nested too deeply.');
  const repeated = repeatedName(text);
  if (repeated !== undefined) {
    const name = repeated.slice(0, LONGEST_NAME).toWellFormed();
    throw new ServiceError('malformed_request', `The body has the field ${JSON.stringify(name)} twice.`);
  }
  return value;
}

function isDeeperThan(depth: number, value: object): boolean {
  if (depth === 0) return true;
  return Object.values(value).some(
    (inner) => typeof inner === 'object' && inner !== null && isDeeperThan(depth - 1, inner as object),
  );
}
