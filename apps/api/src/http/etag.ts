import { createHash } from 'node:crypto';

/**
 * The strong validator (RFC 9110, section 8.8.3) of a representation: a hash of its bytes and its user. So no user can confirm that another
 * user has the same content. A public resource has no user.
 */
export function etagOf(representation: string | Uint8Array, userId = ''): string {
  // No user's id contains NUL.
  const hash = createHash('sha256').update(userId).update('\0').update(representation);
  return `"${hash.digest('base64url').slice(0, 27)}"`;
}

/** An element of the list: an entity tag or nothing, with the blanks around it, up to its comma. */
const ELEMENT = /[ \t]*(?:((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|$)/y;

/** The tags of a list (RFC 9110, section 5.6.1); undefined: the header is no list of tags. */
function readTags(header: string): string[] | undefined {
  const tags: string[] = [];
  for (ELEMENT.lastIndex = 0; ELEMENT.lastIndex < header.length;) {
    const [, tag] = ELEMENT.exec(header) ?? [];
    if (ELEMENT.lastIndex === 0) return undefined; // a failed match resets it to 0
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
 * `If-None-Match` by weak comparison (RFC 9110, section 13.1.2): `hit` means 304 for a read and 412 for a change. `unreadable` means that
 * the value is no list of tags: a read is answered, a change is refused.
 */
export function ifNoneMatch(header: string | undefined, etag: string): 'missed' | 'hit' | 'unreadable' {
  if (header === undefined) return 'missed';
  if (header.trim() === '*') return 'hit';
  const tags = readTags(header);
  if (tags === undefined) return 'unreadable';
  return tags.some((tag) => tag.replace(/^W\//, '') === etag) ? 'hit' : 'missed';
}
