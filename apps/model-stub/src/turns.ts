import { createHash } from 'node:crypto';

/** A content block as the client sent it. */
export type SentBlock = { readonly type: string } & Readonly<Record<string, unknown>>;

/** A block with its place in the request, as the API names it in errors. */
export interface PlacedBlock {
  readonly block: SentBlock;
  /** The message it is in, and its place there. */
  readonly message: number;
  readonly place: number;
}

/** Consecutive messages of one role. */
export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly blocks: readonly PlacedBlock[];
}

/** Groups messages into turns. The messages must have been checked. */
export function turnsOf(messages: readonly { role: string; content: unknown }[]): Turn[] {
  const turns: { role: Turn['role']; blocks: PlacedBlock[] }[] = [];
  messages.forEach(({ role, content }, message) => {
    const blocks = blocksOf(content).map((block, place): PlacedBlock => ({ block, message, place }));
    const last = turns.at(-1);
    if (last?.role === role) last.blocks.push(...blocks);
    else turns.push({ role: role as Turn['role'], blocks });
  });
  return turns;
}

/** A message's content, or a system prompt, as blocks. */
export function blocksOf(content: unknown): SentBlock[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return Array.isArray(content) ? (content as SentBlock[]) : [];
}

/** The text of a block that counts as tokens. */
export function textIn(block: SentBlock): string {
  const { type, text, thinking, name, input, content } = block;
  switch (type) {
    case 'text':
      return typeof text === 'string' ? text : '';
    case 'thinking':
      return typeof thinking === 'string' ? thinking : '';
    case 'tool_use':
    case 'server_tool_use':
      return `${String(name)}${JSON.stringify(input ?? {})}`;
    case 'tool_result':
      return typeof content === 'string' ? content : blocksOf(content).map(textIn).join('');
    default:
      return content === undefined ? '' : JSON.stringify(content);
  }
}

/** A hash of all arguments. The same values in the same order give the same hash. */
export function digest(before: string, ...more: unknown[]): string {
  return createHash('sha256').update(before).update(stable(more)).digest('base64url');
}

/** A block without the parts that do not count when it is sent again: cache marks, citations, the tool's caller. */
export function essence({ cache_control: _, citations: __, caller: ___, ...block }: SentBlock): unknown {
  return block;
}

/** A tool as the model sees it: in the order of its fields, without its cache mark. */
export function definition({ cache_control: _, ...tool }: SentBlock): string {
  return JSON.stringify(tool);
}

/** JSON with sorted fields, except in the input of a call: the model reads that in the order it was sent. */
function stable(value: unknown): string {
  return JSON.stringify(value, (name, one: unknown) => {
    if (typeof one !== 'object' || one === null || Array.isArray(one)) return one;
    if (name === 'input') return JSON.stringify(one);
    return Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
