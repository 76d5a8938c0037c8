import { invalidField } from '#errors/service-error.js';

/** How much of a reply a client has: the attempt, and the length of its text in UTF-16 code units. */
export interface Position {
  readonly attempt: number;
  readonly offset: number;
}

/** The id of a stream's last event: whoever sends it back has seen everything. */
export const END = 'end';

/** An event's id, `<attempt>.<offset>`. */
export function eventId({ attempt, offset }: Position): string {
  return `${attempt}.${offset}`;
}

const EVENT_ID = /^(\d{1,9})\.(\d{1,9})$/;

/**
 * What the id of the last event a client got says; nothing was got when there is none.
 * @throws ServiceError `validation_failed` for what was never an event's id
 */
export function readEventId(field: string, id: string | undefined): Position | typeof END {
  if (id === undefined || id === '') return { attempt: 0, offset: 0 };
  if (id === END) return END;
  const [, attempt, offset] = EVENT_ID.exec(id) ?? [];
  if (attempt === undefined) throw invalidField(field, 'is not the id of an event');
  return { attempt: Number(attempt), offset: Number(offset) };
}
