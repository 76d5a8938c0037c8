import { createHash } from 'node:crypto';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestKey } from '#database/request-key.js';
import { invalidField } from '#errors/service-error.js';

const HEADER = 'Idempotency-Key';
const LONGEST_KEY = 255;

const CONTROL = /\p{Cc}/u;

/** A String of a structured field that is not empty (RFC 9651, section 3.3.3). */
const QUOTED = /^"(?:[ !#-[\]-~]|\\["\\])+"$/;

/**
 * The request's `Idempotency-Key`, undefined when it has none. Its content is the client's affair.
 *
 * The standard to come wants it quoted (draft-ietf-httpapi-idempotency-key-header, section 2.1), and most clients send it bare. So the
 * quotes are no part of it: a client that keeps a key and sends it again through another library means the same request.
 * @throws ServiceError `validation_failed` for what cannot be one
 */
export function readRequestKey(request: FastifyRequest): RequestKey | undefined {
  const given = request.raw.headersDistinct[HEADER.toLowerCase()];
  const [raw] = given ?? [];
  if (given === undefined || raw === undefined) return undefined;
  const key = unquoted(asSent(raw));
  if (given.length > 1) throw invalidField(HEADER, 'must not be given twice');
  if (key === '') throw invalidField(HEADER, 'must not be empty');
  if ([...key].length > LONGEST_KEY) throw invalidField(HEADER, `must not be longer than ${LONGEST_KEY} characters`);
  if (CONTROL.test(key)) throw invalidField(HEADER, 'must not hold control characters');
  return { key, fingerprint: fingerprintOf(request) };
}

/** The text between the quotes. A text that is not quoted as a whole is left as it is. */
function unquoted(text: string): string {
  return QUOTED.test(text) ? text.slice(1, -1).replace(/\\(["\\])/g, '$1') : text;
}

/** Node reads a header's bytes as Latin-1; a client that sends other letters sends them as UTF-8. */
function asSent(header: string): string {
  try {
    // All of its characters count: two keys are the same only if they are equal.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(header, 'latin1'));
  } catch {
    return header;
  }
}

/**
 * A fingerprint that is the same for requests that ask for the same: method, path and body as parsed, in any order of the body's fields.
 * How the client waits is no part of it.
 */
function fingerprintOf({ method, routeOptions, params, body }: FastifyRequest): Buffer {
  const path = Object.values(params as Record<string, string>).map((value) => value.toLowerCase());
  const asked = [method, routeOptions.url, path, inOrder(body ?? {})];
  return createHash('sha256').update(JSON.stringify(asked)).digest();
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  // As pairs: an object would put fields that look like numbers first.
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, inOrder(inner)]);
}

/** The key of a POST; see {@link readRequestKey}. */
export const TheRequestKey = createParamDecorator((_: unknown, context: ExecutionContext): RequestKey | undefined =>
  readRequestKey(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** Marks an answer as that of an earlier request with the same key. */
export function sendReplayed(reply: FastifyReply, replayed: boolean): void {
  if (replayed) void reply.header('idempotent-replayed', 'true');
}
