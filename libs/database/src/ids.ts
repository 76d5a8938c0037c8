import { v7, validate } from 'uuid';

/** A new UUIDv7 (RFC 9562, section 5.7). Ids sort by the time at which they were made. */
export function newId(): string {
  return v7();
}

/** Whether PostgreSQL accepts the text as a uuid. Anything else cannot be a row's id. */
export function isId(text: string): boolean {
  return validate(text);
}
