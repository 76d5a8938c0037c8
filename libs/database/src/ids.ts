import { v7, validate } from 'uuid';

/** A new UUIDv7 (RFC 9562, section 5.7): ids sort by the moment they were made. */
export function newId(): string {
  return v7();
}

/** Whether PostgreSQL would take the text as a uuid; anything else cannot name a row. */
export function isId(text: string): boolean {
  return validate(text);
}
