import { APIConnectionError, APIError, APIUserAbortError } from '@anthropic-ai/sdk';
import { LONGEST_RETRY_AFTER_MS } from '#jobs/timings.js';
import { ModelFault } from './model-fault.js';

/** Error types of the Messages API that may pass, whatever status they come with. */
const PASSING = new Set(['overloaded_error', 'rate_limit_error', 'api_error', 'timeout_error']);

/** A rate limit that is a spending limit: waiting does not help, a person has to. */
const SPEND_LIMIT = /enforced_spend_limit_reached/;

/**
 * Sorts what the SDK threw into faults that may pass (429, 408, 409, 5xx, 529, connection faults, an error event inside
 * a stream) and faults that will not (other 4xx, a spending limit). Messages say what a chat's user may know; the
 * model's own words stay in the log, as `cause`.
 */
export function classify(error: unknown): ModelFault {
  if (error instanceof ModelFault) return error;
  const options = { cause: error };
  if (error instanceof APIUserAbortError)
    return new ModelFault('internal', 'The call was stopped.', true, undefined, options);
  if (error instanceof APIConnectionError) return unavailable('The model cannot be reached.', undefined, options);
  if (error instanceof APIError) {
    const { status, headers } = error as APIError<number | undefined, Headers | undefined, object | undefined>;
    const type = errorType(error.error);
    if (SPEND_LIMIT.test(JSON.stringify(error.error ?? '')))
      return rejected('The spending limit of the model is reached.', options);
    if (status === 429) return unavailable('The model is rate limited.', retryAfterMs(headers), options);
    if (
      status === undefined ||
      status >= 500 ||
      status === 408 ||
      status === 409 ||
      (type !== undefined && PASSING.has(type))
    ) {
      return unavailable('The model is overloaded or failing.', retryAfterMs(headers), options);
    }
    return rejected(`The model refused the request (${status}).`, options);
  }
  // Broken JSON, a cut body and the like surface as plain errors of fetch or of the parser.
  return unavailable('The model’s answer was broken.', undefined, options);
}

function unavailable(message: string, retryAfter: number | undefined, options: ErrorOptions): ModelFault {
  return new ModelFault('model_unavailable', message, true, retryAfter, options);
}

function rejected(message: string, options: ErrorOptions): ModelFault {
  return new ModelFault('model_rejected', message, false, undefined, options);
}

function errorType(body: unknown): string | undefined {
  const { error, type } = (body ?? {}) as { error?: { type?: string }; type?: string };
  return error?.type ?? type;
}

/** `Retry-After` (RFC 9110, section 10.2.3) in milliseconds, seconds or date, capped. */
function retryAfterMs(headers: Headers | undefined): number | undefined {
  const value = headers?.get('retry-after');
  if (!value) return undefined;
  const seconds = /^\d+(\.\d+)?$/.exec(value.trim());
  // `Date.parse` makes a date of nearly anything; an HTTP-date begins with the day's name.
  const ms = seconds ? Number(value) * 1_000 : /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) - Date.now() : NaN;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS);
}
