import { createHash } from 'node:crypto';
import { ServiceError } from '#errors/service-error.js';

/** The strong validator (RFC 9110, section 8.8.3) of a representation: a hash of its very bytes. */
export function etagOf(representation: string | Uint8Array): string {
  return `"${createHash('sha256').update(representation).digest('base64url').slice(0, 27)}"`;
}

const ENTITY_TAG = /^(W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

function parseList(header: string): string[] {
  return header
    .split(/,(?=\s*(?:W\/)?")/)
    .map((tag) => tag.trim())
    .filter((tag) => ENTITY_TAG.test(tag));
}

/** `If-None-Match` by weak comparison (RFC 9110, section 13.1.2): true means 304. */
export function noneMatchHits(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return parseList(header).some((tag) => tag.replace(/^W\//, '') === etag);
}

/**
 * `If-Match` by strong comparison (RFC 9110, section 13.1.1).
 * @throws ServiceError `precondition_failed` when the representation is not one of those named.
 */
export function assertIfMatch(header: string | undefined, etag: string): void {
  if (header === undefined || header.trim() === '*') return;
  if (!parseList(header).includes(etag)) {
    throw new ServiceError('precondition_failed', 'The resource has changed since it was read.');
  }
}
