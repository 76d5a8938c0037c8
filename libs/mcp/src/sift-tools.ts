import { headerFault } from './header-fault.js';

/** A tool as a server lists it, within our bounds. */
export interface ListedTool {
  /** The tool's name on its server, at most 128 characters. */
  readonly name: string;
  /** At most {@link LONGEST_DESCRIPTION} characters; empty if the server gives none. */
  readonly description: string;
  /** JSON Schema of the input; its type is `object`. At most {@link LARGEST_SCHEMA} bytes of JSON, and {@link DEEPEST_SCHEMA} levels. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

/** A tool that is not used, and why, in words after the name: `its schema is too large`. */
export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

/** A server's tools. Equal listings give equal results, whatever the server's order. */
export interface Listing {
  /** In the order of their names. */
  readonly tools: readonly ListedTool[];
  /** In the order of their names, and no more than {@link MOST_TOOLS}. */
  readonly leftOut: readonly LeftOut[];
}

export const MOST_TOOLS = 200;
export const LONGEST_DESCRIPTION = 4_000;
export const LARGEST_SCHEMA = 64 * 1024;
export const DEEPEST_SCHEMA = 32;
const LONGEST_NAME = 128;

/** JSON that PostgreSQL does not store: U+0000, and half of a pair of surrogates. */
const UNSTORABLE = /\\u(0000|d[89a-f])/i;

/**
 * Chooses the tools that can be used.
 *
 * @param raw what the server sent; each may have any shape
 * @param allow the names of the tools that are wanted (default: all). A wanted tool that the server lacks is reported; a tool that is not
 *   wanted is not.
 */
export function siftTools(raw: readonly unknown[], allow?: readonly string[]): Listing {
  const wanted = allow === undefined ? undefined : new Set(allow);
  const seen = new Set<string>();
  const tools: ListedTool[] = [];
  const leftOut: LeftOut[] = [];
  for (const tool of raw) {
    const name = nameOf(tool);
    if (name === undefined) {
      if (wanted === undefined) leftOut.push({ name: '?', reason: 'it has no usable name' });
      continue;
    }
    if (wanted?.has(name) === false) continue;
    const fault = seen.has(name) ? 'the server lists it twice' : faultOf(tool as Candidate);
    seen.add(name);
    if (fault !== undefined) leftOut.push({ name, reason: fault });
    else tools.push(listed(name, tool as Candidate));
  }
  for (const name of wanted ?? []) if (!seen.has(name)) leftOut.push({ name, reason: 'the server has no such tool' });
  tools.sort(byName);
  for (const { name } of tools.splice(MOST_TOOLS))
    leftOut.push({ name, reason: `the server has more than ${MOST_TOOLS} tools` });
  return { tools, leftOut: leftOut.sort(byName).slice(0, MOST_TOOLS) };
}

/** A tool with a usable name. */
interface Candidate {
  readonly description?: unknown;
  readonly inputSchema?: unknown;
  readonly execution?: unknown;
}

function nameOf(tool: unknown): string | undefined {
  const name = (tool as { name?: unknown } | null | undefined)?.name;
  if (typeof name !== 'string' || name === '' || name.length > LONGEST_NAME) return undefined;
  // eslint-disable-next-line no-control-regex -- a name with control characters would break lines that show it
  return name.isWellFormed() && !/[\x00-\x1f\x7f]/.test(name) ? name : undefined;
}

function faultOf({ inputSchema, execution }: Candidate): string | undefined {
  if (typeof inputSchema !== 'object' || inputSchema === null || (inputSchema as { type?: unknown }).type !== 'object')
    return 'the type of its input is not object';
  if (isDeeper(inputSchema, DEEPEST_SCHEMA)) return `its schema has more than ${DEEPEST_SCHEMA} levels`;
  const json = JSON.stringify(inputSchema);
  if (Buffer.byteLength(json) > LARGEST_SCHEMA) return `its schema is larger than ${LARGEST_SCHEMA} bytes`;
  if (UNSTORABLE.test(json)) return 'its schema has characters that cannot be stored';
  const fault = headerFault(inputSchema);
  if (fault !== undefined) return `its schema wants a header that is not allowed: ${fault}`;
  if ((execution as { taskSupport?: unknown } | undefined)?.taskSupport === 'required')
    return 'it runs only as a task, which is not offered here';
  return undefined;
}

function listed(name: string, { description, inputSchema }: Candidate): ListedTool {
  const text = typeof description === 'string' ? description.replaceAll('\0', '').toWellFormed() : '';
  return {
    name,
    // The cut may divide a pair of surrogates.
    description: text.slice(0, LONGEST_DESCRIPTION).toWellFormed(),
    inputSchema: inputSchema as Record<string, unknown>,
  };
}

/** Whether a value of JSON has more than `levels` levels of objects and lists. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
