import type { FastifyReply } from 'fastify';

/** How a caller wants to wait (RFC 7240). */
export interface Preference {
  /** Seconds to wait before the answer is 202; undefined: nothing was asked. */
  readonly waitSeconds: number | undefined;
  /** What goes into `Preference-Applied`. */
  readonly applied: string | undefined;
}

/** The longest a request waits for a reply, in seconds; also what a turn waits when nothing is asked. */
export const LONGEST_WAIT_SECONDS = 60;

/**
 * Reads `Prefer: respond-async` and `Prefer: wait=N` (RFC 7240, sections 4.1 and 4.3). With both, the request is
 * asynchronous after N seconds. Preferences that are not understood are ignored, as section 2 demands; of one
 * given twice the first counts.
 */
export function readPreference(header: string | string[] | undefined): Preference {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  let respondAsync = false;
  let wait: number | undefined;
  for (const item of text.split(',')) {
    const [token = '', value] = (item.split(';', 1)[0] ?? '').split('=', 2).map((part) => part.trim());
    if (/^respond-async$/i.test(token) && value === undefined) respondAsync = true;
    const seconds = value?.replace(/^"(.*)"$/, '$1');
    if (/^wait$/i.test(token) && seconds !== undefined && /^\d{1,9}$/.test(seconds)) {
      wait ??= Math.min(Number(seconds), LONGEST_WAIT_SECONDS);
    }
  }
  if (wait !== undefined) {
    return { waitSeconds: wait, applied: respondAsync ? `respond-async, wait=${wait}` : `wait=${wait}` };
  }
  return respondAsync ? { waitSeconds: 0, applied: 'respond-async' } : { waitSeconds: undefined, applied: undefined };
}

/** Says which preferences were honoured (RFC 7240, section 3). */
export function applyPreference(reply: FastifyReply, preference: Preference): void {
  if (preference.applied !== undefined) void reply.header('preference-applied', preference.applied);
}
