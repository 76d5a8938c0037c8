import { isObject } from '../is-object.js';
import { KINDS } from './kinds.js';

/** A tool that a request offers. */
export interface OfferedTool {
  readonly name: string;
  readonly description: string;
  /** Its `input_schema`; empty for the API's own tools. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Whether the API runs it. */
  readonly server: boolean;
}

/** The tools of a request that has been checked, by name and in their order. Sets of tools are left out. */
export function offeredTools(tools: unknown): ReadonlyMap<string, OfferedTool> {
  const offered = new Map<string, OfferedTool>();
  for (const tool of Array.isArray(tools) ? (tools as unknown[]) : []) {
    if (!isObject(tool)) continue;
    const { name, type, description, input_schema: schema } = tool;
    if (typeof name !== 'string') continue;
    offered.set(name, {
      name,
      description: typeof description === 'string' ? description : '',
      schema: isObject(schema) ? schema : {},
      server: typeof type === 'string' && KINDS.get(type)?.server === true,
    });
  }
  return offered;
}

/** The name of a tool that a user may ask for; undefined: there is none. */
export function exampleTool(tools: unknown): string | undefined {
  const [name] = offeredTools(tools).keys();
  return name;
}
