import { ASKED_LENGTH } from '../../apps/model-stub/src/calls.js';
import type { SeenCall } from '../support/model-stub.js';
import { type Course, type Moment, STEPS, type Told, TOOLS, type ToolName, WITH_CALLS } from './moments.js';

/** A turn that is held at a moment. */
export interface HeldTurn {
  readonly moment: Moment;
  /** The user has no other turn. */
  readonly user: string;
  readonly text: string;
}

/** A request to the tools' server. */
export interface Request {
  readonly tool: ToolName;
  readonly order: string;
  readonly callId: string;
  readonly key: unknown;
}

/** The input of a step's calls, which no other step of any turn has. */
export function orderOf(user: string, step: number): string {
  return `${user}.${step}`.replaceAll(' ', '-');
}

/** The tool's answer to that input. */
export function resultOf(tool: ToolName, order: string): string {
  return `${tool} of ${order} is done`;
}

/** Whether a call of the model is the turn's. */
export const isAbout =
  ({ text }: HeldTurn) =>
  ({ asked }: { readonly asked: string }): boolean =>
    asked === text.slice(-ASKED_LENGTH);

/** How a turn went. @param calls its calls of the model @param allRequests the requests of all turns */
export function courseOf(
  { user }: HeldTurn,
  status: string,
  calls: readonly SeenCall[],
  allRequests: readonly Request[],
): Course {
  const last = calls.at(-1);
  const results = resultsIn(last);
  const inSteps = <T>(of: (tool: ToolName, step: number) => T): Record<ToolName, T[]> => ({
    find_order: WITH_CALLS.map((step) => of('find_order', step)),
    place_order: WITH_CALLS.map((step) => of('place_order', step)),
  });
  const requests = inSteps((tool, step) =>
    allRequests.filter((one) => one.tool === tool && one.order === orderOf(user, step)),
  );
  const told = (tool: ToolName, step: number): Told => {
    const result = results[(step - 1) * TOOLS.length + TOOLS.indexOf(tool)] ?? 'nothing';
    if (result === resultOf(tool, orderOf(user, step))) return 'the result';
    return result.includes('outcome is unknown') ? 'unknown' : `something else: ${result}`;
  };
  return {
    status,
    asked: STEPS.map((step) => calls.filter((call) => stepOf(call) === step).length),
    called: { find_order: counts(requests.find_order), place_order: counts(requests.place_order) },
    told: inSteps(told),
    faults: [
      ...calls
        .filter((call) => !isPrefix(historyOf(call), historyOf(last)))
        .map((call) => `call ${call.id}, for step ${stepOf(call)}, does not have the history of the last call`),
      ...Object.values(requests)
        .flat()
        .flatMap((same) => {
          const keys = [...new Set(same.flatMap(({ callId, key }) => [callId, key]))];
          return keys.length > 1 ? [`a call of ${same[0]?.tool} has the keys ${keys.join(' and ')}`] : [];
        }),
    ],
  };
}

function counts(lists: readonly (readonly unknown[])[]): number[] {
  return lists.map(({ length }) => length);
}

/** The step that a call of the model is for, from 1. */
function stepOf({ messages }: SeenCall): number {
  return 1 + messages.filter(({ role }) => role === 'assistant').length;
}

/** The results that a request has, in their order. */
function resultsIn(call: SeenCall | undefined): string[] {
  const blocks = (call?.messages ?? []).flatMap(({ content }) =>
    Array.isArray(content) ? (content as unknown[]) : [],
  );
  return (blocks as { type: string; content: unknown }[])
    .filter(({ type }) => type === 'tool_result')
    .map(({ content }) => (typeof content === 'string' ? content : JSON.stringify(content)));
}

/** The steps that a request has, without the marks for the cache, which move from call to call. */
function historyOf(call: SeenCall | undefined): string[] {
  const kept = (key: string, value: unknown): unknown => (key === 'cache_control' ? undefined : value);
  return (call?.messages ?? []).slice(1).map((message) => JSON.stringify(message, kept));
}

function isPrefix(some: readonly string[], all: readonly string[]): boolean {
  return some.every((one, n) => one === all[n]);
}
