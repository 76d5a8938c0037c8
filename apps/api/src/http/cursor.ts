import { createHash } from 'node:crypto';
import { invalidField } from '#errors/service-error.js';

/**
 * An opaque page start. It is tied to the list that it was made for, so that a foreign or edited one is refused instead of giving another
 * page. The tie is a checksum and no secret: a cursor opens nothing, since every query is limited to the caller's own rows.
 */
export function encodeCursor(list: string, position: string): string {
  return Buffer.from(`${checksum(list, position)}${position}`).toString('base64url');
}

/** The page start in a cursor. @throws ServiceError `validation_failed` naming `field` when the cursor was not made for this list */
export function decodeCursor(list: string, cursor: string, field: 'before' | 'after'): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  const position = text.slice(CHECKSUM_LENGTH);
  if (position === '' || encodeCursor(list, position) !== cursor) {
    throw invalidField(field, 'is not a cursor of this list');
  }
  return position;
}

const CHECKSUM_LENGTH = 8;

function checksum(list: string, position: string): string {
  return createHash('sha256').update(`${list}\n${position}`).digest('base64url').slice(0, CHECKSUM_LENGTH);
}
