import { invalidField } from '#errors/service-error.js';

/** A text position: how much of a reply a client has. `offset` counts UTF-16 code units of the attempt's text. */
export interface TextPosition {
  readonly attempt: number;
  readonly offset: number;
}

/** The id of a stream's last event. A client that sends it back has seen everything. */
export const END = 'end';

/** An event's id, `<attempt>.<offset>`. */
export function eventId({ attempt, offset }: TextPosition): string {
  return `${attempt}.${offset}`;
}

const EVENT_ID = /^(\d{1,9})\.(\d{1,9})$/;

/**
 * Reads the id of the last event that a client received; no id: it received none. @throws ServiceError `validation_failed` for a text that
 * cannot be an event's id
 */
export function readEventId(field: string, id: string | undefined): TextPosition | typeof END {
  if (id === undefined || id === '') return { attempt: 0, offset: 0 };
  if (id === END) return END;
  const [, attempt, offset] = EVENT_ID.exec(id) ?? [];
  if (attempt === undefined) throw invalidField(field, 'is not the id of an event');
  return { attempt: Number(attempt), offset: Number(offset) };
}
