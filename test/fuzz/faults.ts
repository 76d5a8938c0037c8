import type { Contract, ContractOperation } from '../support/contract.js';
import { bodyFor, leniencies } from './accepted.js';
import type { Resolved } from './lane.js';
import type { Plan } from './request.js';
import type { Answer } from './send.js';
import { eventFaults, lineFaults } from './streams.js';
import { THEIRS } from './world.js';

/** Statuses that say that the request itself is wrong, not the moment or the thing it asks for. */
const WRONG_REQUEST: readonly number[] = [400, 406, 413, 415, 422];

/** Fields with rules beyond their schema: days must be in order, no name may come twice, and an event's id must belong to a known turn. */
const MORE_THAN_ITS_SCHEMA: Readonly<Record<string, readonly string[]>> = {
  getUsage: ['from', 'to', 'group_by'],
  followJob: ['last_event_id', 'Last-Event-ID'],
  createTurn: ['Last-Event-ID'],
  createAssistantChatTurn: ['Last-Event-ID'],
};

/** The longest error, in characters. It must not grow with the request. */
const LONGEST_ERROR = 16 * 1024;

/** Every fault of an answer; empty when it is right. */
export function faultsOf(
  contract: Contract,
  operation: ContractOperation,
  plan: Plan,
  sent: Resolved,
  answer: Answer,
): string[] {
  const { status, headers } = answer;
  const path = sent.target.split('?', 1)[0] ?? '';
  const type = headers.get('content-type') ?? '';
  const isText = /^text\/|jsonl/.test(type);
  const faults: string[] = [];
  let body: unknown;
  try {
    body = answer.text === '' ? undefined : isText ? answer.text : JSON.parse(answer.text);
  } catch {
    return [`${status}: ${type} that is not JSON: ${answer.text.slice(0, 500)}`];
  }
  if (status >= 500) faults.push(`answered ${status}`);
  const { method } = sent;
  if (method === 'HEAD' || method === 'OPTIONS') {
    if (method === 'HEAD' && body !== undefined) faults.push('HEAD was answered with a body');
    return status === 431 ? faults : [...faults, ...idFaults(sent, headers)];
  }
  // A fault of the protocol gets the same answer at any address.
  const isBroken = status === 431 || (body as { code?: string } | undefined)?.code === 'malformed_request';
  const judged = isBroken && !operation.statuses.includes(status) ? '/' : path;
  const asked = { query: sent.query, body: bodyFor(operation, sent) };
  faults.push(...contract.faults({ method, path: judged, status, headers, body, sent: asked }));
  if (status < 400 && method === operation.method) faults.push(...leniencies(contract, operation, plan, sent));
  if (type.startsWith('text/event-stream')) faults.push(...eventFaults(contract, answer.text));
  if (type.startsWith('application/jsonl')) faults.push(...lineFaults(contract, answer.text));
  if (status >= 400) {
    if (answer.text.length > LONGEST_ERROR) faults.push(`an error of ${answer.text.length} characters`);
    const error = body as { request_id?: string } | undefined;
    if (error?.request_id !== headers.get('x-request-id'))
      faults.push('the error names another request id than its header');
    if (!/^application\/json(;|$)/.test(type)) faults.push(`an error of type ${type}`);
  }
  // When there are too many headers, the service does not read them, so it does not know the id among them.
  if (status !== 431) faults.push(...idFaults(sent, headers));
  if (plan.broken.length === 0 && WRONG_REQUEST.includes(status) && !isStricter(operation, body)) {
    faults.push(`${status}: a request that the contract allows was refused`);
  }
  if (status >= 300 && status < 400 && body !== undefined) faults.push('304 with a body');
  if (!operation.path.startsWith('/api/v1/admin') && answer.text.includes(THEIRS))
    faults.push('the answer contains text of another user');
  return faults.length === 0 ? [] : [...faults, answer.text.slice(0, 1_000)];
}

/** A valid request id is used unchanged. Otherwise the service makes its own. */
function idFaults(sent: Resolved, headers: Headers): string[] {
  const ids = sent.headers.filter(([name]) => name.toLowerCase() === 'x-request-id').map(([, value]) => value.trim());
  const [id] = ids;
  const answered = headers.get('x-request-id') ?? '';
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(answered)) return [`X-Request-Id is ${JSON.stringify(answered)}`];
  if (ids.length !== 1 || id === undefined) return [];
  return /^[A-Za-z0-9._-]{1,128}$/.test(id) && id !== answered ? [`X-Request-Id ${id} came back as ${answered}`] : [];
}

function isStricter({ id }: ContractOperation, body: unknown): boolean {
  const { details = [] } = (body ?? {}) as { details?: { field: string }[] };
  return details.length > 0 && details.every(({ field }) => MORE_THAN_ITS_SCHEMA[id]?.includes(field) === true);
}
