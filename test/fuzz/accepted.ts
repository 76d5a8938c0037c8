import { type Contract, type ContractOperation, escape } from '../support/contract.js';
import type { Resolved } from './lane.js';
import { NOT_JSON, type Plan } from './request.js';

/** Headers that the service ignores when they break their schema. The contract says so of each. */
const PASSED_OVER = ['x-request-id', 'prefer', 'if-none-match', 'last-event-id'];

/** The faults of an accepted request for which it should have been refused, except those of its query and its body. */
export function leniencies(contract: Contract, operation: ContractOperation, plan: Plan, sent: Resolved): string[] {
  const faults: string[] = [];
  const isAdmin = operation.path.startsWith('/api/v1/admin');
  const refused = Array.isArray(plan.asking) || ['nobody', 'expired', 'wrong key'].includes(plan.asking);
  const outside = isAdmin && ['a stranger', 'no scope'].includes(plan.asking as string);
  if (!operation.open && (refused || outside)) faults.push(`accepted, though asked by ${String(plan.asking)}`);
  const list = `/paths/${escape(operation.path)}/${operation.method.toLowerCase()}/parameters`;
  for (const n of ((contract.at(list) ?? []) as unknown[]).keys()) {
    const pointer = contract.resolve(`${list}/${n}`);
    const parameter = contract.at(pointer) as { name: string; in: string };
    for (const value of valuesOf(parameter, operation, sent)) {
      faults.push(
        ...contract.schemaFaults(`${pointer}/schema`, value, `accepted ${parameter.name} ${JSON.stringify(value)}`),
      );
    }
  }
  return faults;
}

function valuesOf(
  { name, in: place }: { name: string; in: string },
  { path }: ContractOperation,
  sent: Resolved,
): string[] {
  if (place === 'path') {
    const at = path.split('/').indexOf(`{${name}}`);
    return [decodeURIComponent(sent.target.split('?', 1)[0]?.split('/')[at] ?? '')];
  }
  if (place !== 'header' || PASSED_OVER.includes(name.toLowerCase())) return [];
  return sent.headers
    .filter(([other]) => other.toLowerCase() === name.toLowerCase())
    .map(([, value]) => inLetters(value));
}

/** The body as the contract sees it: a body of a GET has no meaning (RFC 9110, section 9.3.1), and `{}` says nothing. */
export function bodyFor({ hasBody }: ContractOperation, { value, method }: Resolved): unknown {
  if (method === 'GET') return undefined;
  const isEmpty =
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
  if (!hasBody && isEmpty) return undefined;
  return value === NOT_JSON ? 'not JSON' : value;
}

function inLetters(bytes: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(bytes.trim(), 'latin1'));
  } catch {
    return bytes.trim();
  }
}
