/** A content block of a scripted answer. Times are in milliseconds. */
export type ScriptBlock =
  | ScriptText
  | ScriptThinking
  | { readonly type: 'redacted_thinking'; readonly data?: string }
  | ScriptToolUse
  | { readonly type: 'web_search_tool_result'; readonly tool_use_id?: string; readonly content: unknown }
  | ScriptServerResult
  | ScriptRaw;

export interface ScriptText {
  readonly type: 'text';
  /** The text, streamed word by word. */
  readonly text?: string;
  /** The text in these pieces, instead of `text`. */
  readonly pieces?: readonly string[];
  /** Sent as `citations_delta` after the text. */
  readonly citations?: readonly object[];
  /** The text comes in `content_block_start`, not in deltas, and counts as one piece. */
  readonly in_start?: true;
}

export interface ScriptThinking {
  readonly type: 'thinking';
  /** The thoughts. They are sent only when summarized, but always counted. */
  readonly thinking?: string;
  /** `omitted` (the default): no text and one `signature_delta`. `summarized`: `thinking_delta`s as well. */
  readonly display?: 'omitted' | 'summarized';
  /** The silence before each `thinking_delta`; left out: as before a piece of text. */
  readonly piece_delay_ms?: number;
  /** Only pings are sent for this long. */
  readonly silent_ms?: number;
  /** The time between these pings; 0: none; left out: a second. */
  readonly ping_every_ms?: number;
  /** Its tokens; left out: those of `thinking`. */
  readonly tokens?: number;
  /** The connection is destroyed once the silence is over. */
  readonly cut?: true;
}

export interface ScriptToolUse {
  readonly type: 'tool_use' | 'server_tool_use';
  readonly id?: string;
  readonly name: string;
  readonly input: object;
  /**
   * The `partial_json` of its deltas, as they are; an empty list: there are no deltas. They need not be JSON: with the stop reason
   * `max_tokens` they are a call that was cut off. Left out: the input in pieces, behind an empty one.
   */
  readonly fragments?: readonly string[];
  /** The connection is destroyed behind the fragments. */
  readonly cut?: true;
}

/** The result of one of the API's own tools; `kind` is the tool, as in `web_fetch_tool_result`. */
export interface ScriptServerResult {
  readonly type: 'server_tool_result';
  readonly kind: string;
  readonly tool_use_id?: string;
  readonly content: unknown;
}

/** A block that the stand-in does not know: sent as it is, with its deltas as they are. */
export interface ScriptRaw {
  readonly type: 'raw';
  readonly block: object;
  readonly deltas?: readonly object[];
}

type Check = (value: unknown) => boolean;

const isString: Check = (value) => typeof value === 'string';
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount: Check = (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isTrue: Check = (value) => value === true;
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const TOOL_USE = { id: isString, name: isString, input: isObject, fragments: listOf(isString), cut: isTrue };
const RESULT = {
  tool_use_id: isString,
  content: (value: unknown): boolean => typeof value === 'object' && value !== null,
};

/** The fields of each type of block, and the values that they may have. */
const FIELDS: Record<ScriptBlock['type'], Record<string, Check>> = {
  text: { text: isString, pieces: listOf(isString), citations: listOf(isObject), in_start: isTrue },
  thinking: {
    thinking: isString,
    display: (value) => value === 'omitted' || value === 'summarized',
    piece_delay_ms: isCount,
    silent_ms: isCount,
    ping_every_ms: isCount,
    tokens: isCount,
    cut: isTrue,
  },
  redacted_thinking: { data: isString },
  tool_use: TOOL_USE,
  server_tool_use: TOOL_USE,
  web_search_tool_result: RESULT,
  server_tool_result: { ...RESULT, kind: isString },
  raw: { block: isObject, deltas: listOf(isObject) },
};

/** The fields that a block must have; one name of each list is enough. */
const REQUIRED: Partial<Record<ScriptBlock['type'], string[][]>> = {
  text: [['text', 'pieces']],
  tool_use: [['name'], ['input']],
  server_tool_use: [['name'], ['input']],
  web_search_tool_result: [['content']],
  server_tool_result: [['kind'], ['content']],
  raw: [['block']],
};

/** @returns the first fault of a script's blocks, in words; undefined: there is none */
export function faultOfBlocks(blocks: unknown): string | undefined {
  if (!Array.isArray(blocks)) return 'script.blocks must be a list';
  for (const [n, block] of (blocks as unknown[]).entries()) {
    const at = `script.blocks[${n}]`;
    if (!isObject(block)) return `${at} must be an object`;
    const { type, ...fields } = block as Record<string, unknown>;
    if (typeof type !== 'string' || !Object.hasOwn(FIELDS, type)) return `${at}.type is not known`;
    const known = FIELDS[type as ScriptBlock['type']];
    for (const [name, value] of Object.entries(fields)) {
      if (!Object.hasOwn(known, name)) return `${at}.${name} is not known`;
      if (known[name]?.(value) !== true) return `${at}.${name} has a wrong value`;
    }
    for (const names of REQUIRED[type as ScriptBlock['type']] ?? []) {
      if (!names.some((name) => Object.hasOwn(fields, name))) return `${at}.${names.join(' or .')} is missing`;
    }
  }
  return undefined;
}
