import type { FastifyReply } from 'fastify';
import { varyBy } from './vary.js';

/** How a caller wants to wait (RFC 7240). */
export interface Preference {
  /** Seconds to wait before the answer is 202; undefined: the caller has no preference. */
  readonly waitSeconds: number | undefined;
  /** The value of `Preference-Applied`. */
  readonly applied: string | undefined;
}

/** Reads how callers want to wait, within this service's bounds. */
export class Preferences {
  /** @param longestSeconds the longest that a request waits for a reply, and the default for a turn */
  constructor(readonly longestSeconds: number) {}

  /**
   * Reads `Prefer: respond-async` and `Prefer: wait=N` (RFC 7240, sections 4.1 and 4.3). With both, the request is asynchronous after N
   * seconds. Unknown preferences are ignored, as section 2 demands. If a preference is given twice, the first counts, even if its value is
   * invalid.
   */
  read(header: string | string[] | undefined): Preference {
    const given = preferences(Array.isArray(header) ? header.join(',') : (header ?? ''));
    const respondAsync = given.get('respond-async') === '';
    const seconds = given.get('wait') ?? '';
    if (/^\d{1,9}$/.test(seconds)) {
      const wait = Math.min(Number(seconds), this.longestSeconds);
      return { waitSeconds: wait, applied: respondAsync ? `respond-async, wait=${wait}` : `wait=${wait}` };
    }
    return respondAsync ? { waitSeconds: 0, applied: 'respond-async' } : { waitSeconds: undefined, applied: undefined };
  }
}

/** The preferences and their values, keyed by lower-case name. A missing and an empty value are the same (RFC 7240, section 2). */
function preferences(header: string): Map<string, string> {
  const given = new Map<string, string>();
  for (const preference of splitAt(',', header)) {
    const [token = '', ...rest] = splitAt('=', splitAt(';', preference)[0] ?? '');
    const name = token.trim().toLowerCase();
    if (!given.has(name)) given.set(name, unquoted(rest.join('=').trim()));
  }
  return given;
}

/** Splits a header at separators outside quoted strings (RFC 9110, section 5.6.4). */
function splitAt(separator: string, text: string): string[] {
  const parts = [''];
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === separator && !quoted) {
      parts.push('');
      continue;
    }
    if (character === '"') quoted = !quoted;
    // A character after a backslash is neither the closing quote nor a separator.
    const taken = quoted && character === '\\' ? text.slice(at, ++at + 1) : character;
    parts.push(`${parts.pop() ?? ''}${taken}`);
  }
  return parts;
}

function unquoted(word: string): string {
  return word.length > 1 && word.startsWith('"') && word.endsWith('"')
    ? word.slice(1, -1).replace(/\\(.)/g, '$1')
    : word;
}

/** Reports which preferences were applied (RFC 7240, section 3), and that the answer depends on them (section 2). */
export function applyPreference(reply: FastifyReply, preference: Preference): void {
  varyBy(reply, 'Prefer');
  if (preference.applied !== undefined) void reply.header('preference-applied', preference.applied);
}
