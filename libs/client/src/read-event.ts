import { ConnectionError } from './errors.js';
import { isErrorBody } from './http.js';
import type { ErrorBody, Job, Message } from './types.js';

/** An event as it came: its name, and the data that this client uses. */
export type ReceivedEvent =
  | { readonly name: 'job'; readonly data: Job }
  | { readonly name: 'delta'; readonly data: { readonly offset: number; readonly text: string } }
  | { readonly name: 'reset'; readonly data: { readonly attempt: number; readonly offset?: number } }
  | { readonly name: 'message'; readonly data: Message }
  | { readonly name: 'failure'; readonly data: ErrorBody };

type Name = ReceivedEvent['name'];
type Fields = Readonly<Record<string, unknown>>;

const isText = (value: unknown): boolean => typeof value === 'string';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

/** The fields that the data of each event must have, so that no reader fails. */
const SHAPES: Readonly<Record<Name, (data: Fields) => boolean>> = {
  job: ({ id, status }) => isText(id) && isText(status),
  delta: ({ offset, text }) => isCount(offset) && isText(text),
  reset: ({ attempt, offset }) => isCount(attempt) && (offset === undefined || isCount(offset)),
  message: ({ content }) => isText(content),
  failure: isErrorBody,
};

/**
 * Reads an event of a job's stream.
 * @returns undefined for an event of a later contract
 * @throws ConnectionError when its id or data break the contract, so that the sender is not the service
 */
export function readEvent(name: string | undefined, id: string | undefined, data: string): ReceivedEvent | undefined {
  const fields = parse(data);
  if (fields === undefined || (id !== undefined && !/^(\d+\.\d+|end)$/.test(id))) throw malformed(name);
  if (name === undefined || !Object.hasOwn(SHAPES, name)) return undefined;
  if (!SHAPES[name as Name](fields)) throw malformed(name);
  return { name, data: fields } as unknown as ReceivedEvent;
}

function malformed(name: string | undefined): ConnectionError {
  return new ConnectionError(`An event came that is not the service’s${name === undefined ? '' : ` (${name})`}.`);
}

function parse(data: string): Fields | undefined {
  try {
    const parsed: unknown = JSON.parse(data);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Fields) : undefined;
  } catch {
    return undefined;
  }
}
