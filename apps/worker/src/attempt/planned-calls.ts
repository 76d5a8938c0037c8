import type { OwnTool, Tool } from '#database/entities/tool.js';
import { newId } from '#database/ids.js';
import type { NewToolCall } from '#jobs/steps.js';
import { MOST_CALLS_A_STEP } from '#jobs/timings.js';
import type { ToolUse } from '../model/answer.js';
import { rejected } from '../model/model-fault.js';

/** Deepest nesting of an input. */
const DEEPEST = 64;

/** A check of inputs by a schema, as {@link checkBy} makes it. */
type CheckBy = (schema: OwnTool['input_schema']) => (value: unknown) => string | undefined;

/**
 * The tool calls that an answer asks for, each in its first state. A call that cannot run has a result that tells the model why: there is
 * no such tool, its input does not match, or the step has too many calls.
 *
 * @throws ModelFault if the calls cannot be told apart
 */
export function plannedCalls(uses: readonly ToolUse[], tools: readonly Tool[], checkBy: CheckBy): NewToolCall[] {
  if (new Set(uses.map(({ id }) => id)).size < uses.length) throw rejected('The model gave two tool calls one id.');
  return uses.map((use, index) => {
    const tool = tools.find((each): each is OwnTool => each.run !== 'provider' && each.name === use.name);
    const input = isDeeper(use.input, DEEPEST) ? undefined : storable(use.input);
    const planned = { id: newId(), providerId: use.id, name: shownName(use.name), input: isObject(input) ? input : {} };
    const failed = (why: string): NewToolCall => ({ ...planned, status: 'failed', result: why, isError: true });
    if (index >= MOST_CALLS_A_STEP) return failed(`A step has at most ${MOST_CALLS_A_STEP} tool calls. Ask again.`);
    if (tool === undefined) return failed(`There is no tool ${planned.name}.`);
    if (!isObject(input)) return failed('The input must be an object, and not nested too deeply.');
    const fault = checkBy(tool.input_schema)(input);
    if (fault !== undefined) return failed(`The input does not match the tool's schema. ${fault}`);
    return { ...planned, status: firstStatus(tool), result: null, isError: false };
  });
}

function firstStatus(tool: OwnTool): NewToolCall['status'] {
  if (tool.approval === 'always') return 'awaiting_approval';
  return tool.run === 'client' ? 'awaiting_result' : 'queued';
}

/** A name as the service stores it: the model may make one up. */
function shownName(name: unknown): string {
  return String(name).replaceAll('\0', '').slice(0, 200).toWellFormed();
}

/** Whether a value is nested more than `levels` deep. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1));
}

/** A value whose texts PostgreSQL can store: without NUL and lone surrogates. */
function storable(value: unknown): unknown {
  if (typeof value === 'string') return text(value);
  if (Array.isArray(value)) return value.map(storable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [text(name), storable(each)]));
}

function text(value: string): string {
  return value.replaceAll('\0', '\uFFFD').toWellFormed();
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
