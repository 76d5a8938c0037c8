import { type RateLimit, isRateLimit } from './rate-limits.js';
import { faultOfBlocks, type ScriptBlock } from './script-blocks.js';

/**
 * How the stand-in answers. Fields that are left out have their usual effect, with two exceptions: it thinks only if `blocks` say so, and a
 * script without text gets an answer of one line, unless the user's words make the stand-in use tools. Times are in milliseconds.
 */
export interface Script {
  /** The reply. */
  text?: string;
  /** The reply, in these pieces. */
  pieces?: string[];
  /** The reply, as content blocks in this order; the counters below count the text pieces of all blocks. */
  blocks?: ScriptBlock[];
  /** The pieces, repeated this often. */
  repeat?: number;
  /** Silence before the headers. */
  delay_ms?: number;
  /** Silence before each piece of text, and of a call's input. */
  piece_delay_ms?: number;
  /** `pause_turn`, for instance: the call that continues it, with this answer as the last message, gets the next script. */
  stop_reason?: string;
  /** Why it refused (`category`, `explanation`), sent as it is; a missing type is added. */
  stop_details?: Record<string, unknown>;
  /** The `usage` of `message_start`, as it is. */
  usage_start?: Record<string, unknown>;
  /** The `usage` of `message_delta`, as it is; if the message is not streamed, that of the whole message. */
  usage_delta?: Record<string, unknown>;
  /** `late`: `message_start` has 0 in each field, as with gateways. `none`: there is no `usage` anywhere. */
  usage?: 'late' | 'none';
  /** The rate limits in the headers; `none`: there are no such headers. */
  rate_limit?: RateLimit;
  /** An error instead of a reply. */
  status?: number;
  error_type?: string;
  message?: string;
  /** The `details.error_code` of an error, also of one that comes as an event. */
  error_code?: string;
  /** Headers to add, such as `retry-after`. */
  headers?: Record<string, string>;
  /** A body of any kind instead of a message. */
  body?: string;
  content_type?: string;
  /** Never answers. */
  hang_before_headers?: boolean;
  /** Destroys the connection after this many pieces. */
  cut_after?: number;
  /** Falls silent after this many pieces and keeps the connection. */
  stall_after?: number;
  /** Sends nothing but pings after this many pieces. */
  ping_after?: number;
  /** Sends an error event of `error_type` after this many pieces. */
  error_event_after?: number;
  /** Ends the stream properly, but without `message_delta` and `message_stop`. */
  end_without_stop?: boolean;
  /** No text at all. */
  empty_content?: boolean;
}

const CHECKS: Record<keyof Script, (value: unknown) => boolean> = {
  text: isString,
  pieces: (value) => Array.isArray(value) && value.every(isString),
  blocks: Array.isArray,
  repeat: isCount,
  delay_ms: isCount,
  piece_delay_ms: isCount,
  stop_reason: isString,
  stop_details: isObject,
  usage_start: isObject,
  usage_delta: isObject,
  usage: (value) => value === 'late' || value === 'none',
  rate_limit: isRateLimit,
  status: (value) => isCount(value) && (value as number) >= 400 && (value as number) < 600,
  error_type: isString,
  message: isString,
  error_code: isString,
  headers: (value) => isObject(value) && Object.values(value as object).every(isString),
  body: isString,
  content_type: isString,
  hang_before_headers: isTrue,
  cut_after: isCount,
  stall_after: isCount,
  ping_after: isCount,
  error_event_after: isCount,
  end_without_stop: isTrue,
  empty_content: isTrue,
};

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function isTrue(value: unknown): boolean {
  return value === true;
}

/** Fields that cannot be combined with `blocks`. */
const NOT_WITH_BLOCKS = ['text', 'pieces', 'repeat', 'empty_content'] as const;

/** @returns the first fault of a script, in words; undefined: there is none */
function faultOf(script: object): string | undefined {
  for (const [name, value] of Object.entries(script)) {
    const check = CHECKS[name as keyof Script] as ((value: unknown) => boolean) | undefined;
    if (check === undefined) return `script.${name} is not known`;
    if (!check(value)) return `script.${name} has a wrong value`;
  }
  if (!('blocks' in script)) return undefined;
  const twice = NOT_WITH_BLOCKS.find((name) => name in script);
  return twice === undefined ? faultOfBlocks(script.blocks) : `script.${twice} does not go with script.blocks`;
}

interface Entry {
  readonly match: string;
  left: number;
  readonly script: Script;
}

/** The scripts in force, in order of arrival. */
export class Scripts {
  private entries: Entry[] = [];

  /**
   * Adds a script for calls whose last user message contains `match`, for `times` calls (left out: for ever). @throws Error for unknown
   * fields, so that no script has a mistake without the test noticing
   */
  add(request: unknown): void {
    const { match, times, script, ...rest } = (request ?? {}) as Record<string, unknown>;
    if (typeof match !== 'string') throw new Error('match must be a string');
    if (times !== undefined && !isCount(times)) throw new Error('times must be a whole number');
    if (Object.keys(rest).length > 0) throw new Error(`unknown: ${Object.keys(rest).join(', ')}`);
    if (typeof script !== 'object' || script === null) throw new Error('script must be an object');
    const fault = faultOf(script);
    if (fault !== undefined) throw new Error(fault);
    this.entries.push({ match, left: (times as number | undefined) ?? Infinity, script });
  }

  /** Takes the script for a call, which counts as one use; undefined: the usual answer. */
  take(lastUserText: string): Script | undefined {
    const entry = this.entries.find(({ match, left }) => left > 0 && lastUserText.includes(match));
    if (entry === undefined) return undefined;
    entry.left -= 1;
    return entry.script;
  }

  clear(): void {
    this.entries = [];
  }
}
