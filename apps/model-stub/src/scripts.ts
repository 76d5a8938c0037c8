/** How the stand-in is to answer; everything left out is as usual. All times in milliseconds. */
export interface Script {
  /** The reply. */
  text?: string;
  /** The reply, in these pieces. */
  pieces?: string[];
  /** The pieces so many times over. */
  repeat?: number;
  /** Silence before the headers. */
  delay_ms?: number;
  /** Silence before each piece. */
  piece_delay_ms?: number;
  stop_reason?: string;
  /** An error instead of a reply. */
  status?: number;
  error_type?: string;
  message?: string;
  /** Headers to add, `retry-after` for one. */
  headers?: Record<string, string>;
  /** A body of whatever kind instead of the protocol's. */
  body?: string;
  content_type?: string;
  /** Never answers. */
  hang_before_headers?: boolean;
  /** Destroys the connection after so many pieces. */
  cut_after?: number;
  /** Falls silent after so many pieces and keeps the connection. */
  stall_after?: number;
  /** Sends nothing but pings after so many pieces. */
  ping_after?: number;
  /** Sends an error event of `error_type` after so many pieces. */
  error_event_after?: number;
  /** Ends the stream properly, but for `message_delta` and `message_stop`. */
  end_without_stop?: boolean;
  /** No text at all. */
  empty_content?: boolean;
}

const CHECKS: Record<keyof Script, (value: unknown) => boolean> = {
  text: isString,
  pieces: (value) => Array.isArray(value) && value.every(isString),
  repeat: isCount,
  delay_ms: isCount,
  piece_delay_ms: isCount,
  stop_reason: isString,
  status: (value) => isCount(value) && (value as number) >= 400 && (value as number) < 600,
  error_type: isString,
  message: isString,
  headers: (value) => typeof value === 'object' && value !== null && Object.values(value).every(isString),
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

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function isTrue(value: unknown): boolean {
  return value === true;
}

interface Entry {
  readonly match: string;
  left: number;
  readonly script: Script;
}

/** The scripts in force, in the order they came. */
export class Scripts {
  private entries: Entry[] = [];

  /**
   * Adds a script for calls whose last user message contains `match`, for `times` calls (for ever when left out).
   * @throws Error for anything it does not know: a test must not script in vain.
   */
  add(request: unknown): void {
    const { match, times, script, ...rest } = (request ?? {}) as Record<string, unknown>;
    if (typeof match !== 'string') throw new Error('match must be a string');
    if (times !== undefined && !isCount(times)) throw new Error('times must be a whole number');
    if (Object.keys(rest).length > 0) throw new Error(`unknown: ${Object.keys(rest).join(', ')}`);
    if (typeof script !== 'object' || script === null) throw new Error('script must be an object');
    for (const [name, value] of Object.entries(script)) {
      const check = CHECKS[name as keyof Script] as ((value: unknown) => boolean) | undefined;
      if (check === undefined) throw new Error(`script.${name} is not known`);
      if (!check(value)) throw new Error(`script.${name} has a wrong value`);
    }
    this.entries.push({ match, left: (times as number | undefined) ?? Infinity, script });
  }

  /** The script for a call, used up by one; undefined: answer as usual. */
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
