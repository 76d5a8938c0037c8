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
 * The request's `Idempotency-Key`; undefined: it has none. The client chooses the content.
 *
 * The draft of the standard wants the key quoted (draft-ietf-httpapi-idempotency-key-header, section 2.1), and most clients send it without
 * quotes. So the quotes are no part of the key: a client may store a key and send it again through another library.
 * @throws ServiceError `validation_failed` for an invalid key
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

/** Removes the quotes of a text that is quoted as a whole. */
function unquoted(text: string): string {
  return QUOTED.test(text) ? text.slice(1, -1).replace(/\\(["\\])/g, '$1') : text;
}

/** Decodes a header as UTF-8: Node reads its bytes as Latin-1, and clients send non-ASCII letters in UTF-8. */
function asSent(header: string): string {
  try {
    // A byte order mark is part of the key: two keys are the same only if all their characters are.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(header, 'latin1'));
  } catch {
    return header;
  }
}

/**
 * A fingerprint that is equal for equal requests. It covers the method, the path and the parsed body, in any order of the body's fields. It
 * does not cover how long the client waits.
 */
function fingerprintOf({ method, routeOptions, params, body }: FastifyRequest): Buffer {
  const path = Object.values(params as Record<string, string>).map((value) => value.toLowerCase());
  const asked = [method, routeOptions.url, path, inOrder(body ?? {})];
  return createHash('sha256').update(JSON.stringify(asked)).digest();
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  // Pairs keep the sorted order; an object would put numeric names first.
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, inOrder(inner)]);
}

/** The key of a POST; see {@link readRequestKey}. */
export const TheRequestKey = createParamDecorator((_: unknown, context: ExecutionContext): RequestKey | undefined =>
  readRequestKey(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** Marks an answer as the answer to an earlier request with the same key. */
export function sendReplayed(reply: FastifyReply, replayed: boolean): void {
  if (replayed) void reply.header('idempotent-replayed', 'true');
}
