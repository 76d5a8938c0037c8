import { createHash } from 'node:crypto';
import { invalidField } from '#errors/service-error.js';

/**
 * Makes the cursor of a page start. The cursor is tied to its list: a cursor of another list, or an edited one, is refused instead of
 * giving a wrong page. The tie is a checksum and no secret: every query is limited to the caller's own rows, so a forged cursor gives
 * access to nothing.
 */
export function encodeCursor(list: string, position: string): string {
  return Buffer.from(`${checksum(list, position)}${position}`).toString('base64url');
}

/**
 * Reads the page start in a query's cursor; undefined: the query has no cursor. The checksum is no secret, so a client can make up a cursor
 * that reaches `read`. Therefore `read` must check the position, and return undefined for an impossible one.
 * @throws ServiceError `validation_failed` for two cursors, or for a cursor of another list
 */
export function readCursor<Start>(
  list: string,
  query: { readonly before?: string; readonly after?: string },
  read: (position: string) => Start | undefined,
): Start | undefined {
  if (query.before !== undefined && query.after !== undefined) {
    throw invalidField('after', 'cannot be combined with before');
  }
  const field = query.after === undefined ? 'before' : 'after';
  const cursor = query[field];
  if (cursor === undefined) return undefined;
  const position = Buffer.from(cursor, 'base64url').toString().slice(CHECKSUM_LENGTH);
  const isOfList = position !== '' && encodeCursor(list, position) === cursor;
  const start = isOfList ? read(position) : undefined;
  if (start === undefined) throw invalidField(field, 'is not a cursor of this list');
  return start;
}

const CHECKSUM_LENGTH = 8;

function checksum(list: string, position: string): string {
  return createHash('sha256').update(`${list}\n${position}`).digest('base64url').slice(0, CHECKSUM_LENGTH);
}
