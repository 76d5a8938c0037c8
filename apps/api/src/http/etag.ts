import { createHash } from 'node:crypto';

/**
 * The strong validator (RFC 9110, section 8.8.3) of a representation: a hash of its bytes and of its user. So what one user has is never
 * confirmed to another, even if it is the same. A resource that anybody may read has no user.
 */
export function etagOf(representation: string | Uint8Array, userId = ''): string {
  // NUL is in no user's id.
  const hash = createHash('sha256').update(userId).update('\0').update(representation);
  return `"${hash.digest('base64url').slice(0, 27)}"`;
}

/** An element of the list: an entity tag or nothing, with the blanks around it, up to its comma. */
const ELEMENT = /[ \t]*(?:((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|$)/y;

/** The tags of a list (RFC 9110, section 5.6.1); undefined: it is no list, and its meaning is unknown. */
function readTags(header: string): string[] | undefined {
  const tags: string[] = [];
  for (ELEMENT.lastIndex = 0; ELEMENT.lastIndex < header.length;) {
    const [, tag] = ELEMENT.exec(header) ?? [];
    if (ELEMENT.lastIndex === 0) return undefined; // where it does not match, it goes back to the beginning
    if (tag !== undefined) tags.push(tag);
  }
  return tags;
}

/** `If-Match` by strong comparison (RFC 9110, section 13.1.1): true means that the request may go on. */
export function ifMatchHolds(header: string | undefined, etag: string): boolean {
  if (header === undefined || header.trim() === '*') return true;
  return readTags(header)?.includes(etag) ?? false;
}

/**
 * `If-None-Match` by weak comparison (RFC 9110, section 13.1.2): `hit` means 304 for a read and 412 for a change. A value that is no list
 * of tags is unknown: a read is answered, a change is not made.
 */
export function ifNoneMatch(header: string | undefined, etag: string): 'missed' | 'hit' | 'unreadable' {
  if (header === undefined) return 'missed';
  if (header.trim() === '*') return 'hit';
  const tags = readTags(header);
  if (tags === undefined) return 'unreadable';
  return tags.some((tag) => tag.replace(/^W\//, '') === etag) ? 'hit' : 'missed';
}
