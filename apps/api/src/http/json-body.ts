import type { FastifyInstance } from 'fastify';
import { parse } from 'secure-json-parse';
import { ServiceError } from '#errors/service-error.js';

/**
 * Reads bodies as JSON (RFC 8259) and as nothing else.
 *
 * Fastify's own parser would turn invalid UTF-8 into replacement characters and take text and forms; an empty body
 * stands for "no fields", because clients often send the content type with it.
 */
export function acceptJsonOnly(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseObject(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parseObject(body: Buffer): object {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    // `__proto__` and `constructor.prototype` are refused rather than dropped.
    value = parse(utf8.decode(body));
  } catch (cause) {
    throw new ServiceError('malformed_request', 'The body is not valid JSON in UTF-8.', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ServiceError('validation_failed', 'The body must be a JSON object.');
  }
  if (isDeeperThan(LARGEST_DEPTH, value)) throw new ServiceError('validation_failed', 'The body is nested too deeply.');
  return value;
}

/** No request needs more; what comes after this walks a body by recursion. */
const LARGEST_DEPTH = 8;

function isDeeperThan(depth: number, value: object): boolean {
  if (depth === 0) return true;
  return Object.values(value).some(
    (inner) => typeof inner === 'object' && inner !== null && isDeeperThan(depth - 1, inner as object),
  );
}
