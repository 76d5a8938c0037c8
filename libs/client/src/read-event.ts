import { ConnectionError } from './errors.js';
import { isErrorBody } from './http.js';
import type { ErrorBody, Job, Message, SourcePart, ToolCall } from './types.js';

/** An event as it came: its name, and the data that this client uses. */
export type ReceivedEvent =
  | { readonly name: 'job'; readonly data: Job }
  | { readonly name: 'delta'; readonly data: { readonly offset: number; readonly text: string } }
  | { readonly name: 'reasoning'; readonly data: { readonly offset: number; readonly reasoning: string } }
  | { readonly name: 'source'; readonly data: SourcePart }
  | {
      readonly name: 'reset';
      readonly data: { readonly attempt: number; readonly offset?: number; readonly reasoning_offset?: number };
    }
  | { readonly name: 'tool_call'; readonly data: ToolCall }
  | { readonly name: 'message'; readonly data: Message }
  | { readonly name: 'failure'; readonly data: ErrorBody };

type Name = ReceivedEvent['name'];
type Fields = Readonly<Record<string, unknown>>;

const isText = (value: unknown): boolean => typeof value === 'string';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isCall = (value: unknown): boolean =>
  isFields(value) &&
  isText(value['id']) &&
  isText(value['name']) &&
  isText(value['status']) &&
  isFields(value['input']) &&
  (value['result'] === null || isText(value['result']));
/** What a waiting job asks for; undefined: nothing. */
const isAction = (value: unknown): boolean =>
  value === undefined || (isFields(value) && Array.isArray(value['tool_calls']) && value['tool_calls'].every(isCall));

/** The fields that the data of each event must have, so that no reader fails. */
const SHAPES: Readonly<Record<Name, (data: Fields) => boolean>> = {
  job: ({ id, status, required_action }) => isText(id) && isText(status) && isAction(required_action),
  delta: ({ offset, text }) => isCount(offset) && isText(text),
  reasoning: ({ offset, reasoning }) => isCount(offset) && isText(reasoning),
  source: ({ url, title }) => isText(url) && (title === null || isText(title)),
  reset: ({ attempt, offset = 0, reasoning_offset: reasoning = 0 }) => [attempt, offset, reasoning].every(isCount),
  tool_call: isCall,
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
    return isFields(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
