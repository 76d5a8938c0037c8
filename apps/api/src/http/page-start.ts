import { isId } from '#database/ids.js';

/** Where a page begins in a list that is ordered by time, then by id: after the row with these values. */
export interface PageStart {
  readonly at: string;
  readonly id: string;
}

/** Writes a page start as a cursor's text. */
export function writePageStart(at: Date, id: string): string {
  return `${at.toISOString()} ${id}`;
}

/** Years have four digits: JavaScript also knows longer years, which PostgreSQL lacks. */
const MOMENT = /^[1-9]\d{3}-/;

/** @returns undefined for a text that {@link writePageStart} does not make */
export function readPageStart(position: string): PageStart | undefined {
  const [at = '', id = ''] = position.split(' ');
  const isMoment = MOMENT.test(at) && !Number.isNaN(Date.parse(at)) && new Date(at).toISOString() === at;
  return isMoment && isId(id) ? { at, id } : undefined;
}
