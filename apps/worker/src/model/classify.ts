import { LONGEST_RETRY_AFTER_MS, MAX_ATTEMPTS } from '#jobs/timings.js';
import { type ApiError, readFailure } from './api-error.js';
import { broken, type Concern, ModelFault, operatorMust, rejected, tooLong, unavailable } from './model-fault.js';
import type { NamedLength } from './window.js';

/** Error types of the Messages API that are temporary with any status. */
const PASSING = new Set(['overloaded_error', 'rate_limit_error', 'api_error', 'timeout_error']);

/** Codes (`error.details.error_code`) of a limit that only a person can raise. Waiting does not help. */
const BUDGET_CODE = /spend_limit|billing|credit|quota|not_billable/;

/** Codes of an account that is closed, or whose keys cannot be used. */
const ACCOUNT_CODE = /^(?:organization_on_hold|cmek_key_disabled|cmek_key_network_blocked)$/;

/*
 * The real API marks these errors only by their words. The words must be at the beginning: servers that resemble the API repeat parts of
 * the request in their errors, and a user who wrote these words could stop all turns.
 */
const BUDGET_WORDS = /^(?:Your credit balance is too low|You have reached your specified API usage limits)/;
const ACCOUNT_WORDS = /^This organization has been disabled/;

/** A parameter from the assistant's definition that the model refuses. Bedrock's own schema has `/` and `]` behind a name. */
const SETTING =
  /^(?:["'`]?(?:max_tokens|model|system|thinking|output_config|temperature|top_p|top_k|stop_sequences|tools|tool_choice|cache_control)["'`:./\]]|The maximum tokens you requested exceeds )/;

/** How servers of this API say that a prompt is too long. The error concerns only this turn, so the words may be anywhere. */
const TOO_LONG =
  /prompt is too long|input (?:is too long|length)|too many (?:input )?tokens|exceeds? (?:the )?(?:model'?s )?(?:maximum |available )?context|maximum context|context[ _](?:length|window|limit)|request_too_large/i;

/*
 * How the API names both lengths: tokens of the prompt, and the most; or, with an older model, tokens of the prompt and of the longest
 * reply, and the most of both. The words must be at the beginning, as above: the worker remembers the limit for other turns.
 */
const PROMPT_TOO_LONG = /^prompt is too long: (?<prompt>\d{1,9}) tokens > (?<most>\d{1,9}) maximum/;
const BOTH_TOO_LONG =
  /^input length and `max_tokens` exceed context limit: (?<prompt>\d{1,9}) \+ (?<reply>\d{1,9}) > (?<most>\d{1,9})\b/;

/**
 * Decides what a failed call means. A missing connection, or a temporary status, is an outage. A status about the key, the account or the
 * assistant's settings needs an operator. Any other refusal concerns only this turn. Once the answer has begun (`started`), the model is
 * available, so each fault concerns only this turn.
 *
 * The fault's message is for the user. The model's own words go to the log, as `cause`.
 */
export function classify(error: unknown, started = false): ModelFault {
  if (error instanceof ModelFault) return error;
  const options = { cause: error };
  const failure = readFailure(error);
  switch (failure?.kind) {
    case 'stopped':
      return new ModelFault('internal', 'The call was stopped.', { most: MAX_ATTEMPTS }, options);
    case 'answered':
      return started ? inAnswer(failure, options) : refused(failure, options);
    case 'unconnected':
      // A fault that was found on the way, such as missing credentials.
      if ((error as Error).cause instanceof ModelFault) return (error as { cause: ModelFault }).cause;
      if (!started) return unavailable('The model cannot be reached.', {}, options);
      break;
    case undefined:
      // Broken JSON, a cut body and the like arrive as plain errors of fetch or of the parser.
      if (!started) return unavailable('The model’s answer was broken.', {}, options);
  }
  return broken('The model’s answer broke off.', undefined, options);
}

/** An error event in an answer that had begun. */
function inAnswer({ type, words }: ApiError, options: ErrorOptions): ModelFault {
  const brokeOff = (): ModelFault => broken('The model’s answer broke off.', undefined, options);
  // A rate limit may have the words of a prompt that is too long.
  if (type !== undefined && PASSING.has(type)) return brokeOff();
  if (TOO_LONG.test(words)) return tooLong(options, lengthIn(words));
  if (type === undefined) return brokeOff();
  switch (type) {
    case 'authentication_error':
    case 'permission_error':
      return new ModelFault('model_unauthorized', 'The model refused the key.', {}, options);
    case 'billing_error':
      return new ModelFault('model_budget', 'The model’s account has no credit left.', {}, options);
    default:
      return rejected('The model refused the request.', options);
  }
}

/** A status instead of an answer. */
function refused({ status, headers, type, code, words }: ApiError, options: ErrorOptions): ModelFault {
  if (BUDGET_CODE.test(code) || type === 'billing_error' || status === 402 || BUDGET_WORDS.test(words)) {
    return operatorMust('model_budget', 'The model’s account has reached its spending limit.', 'all', options);
  }
  if (status === 401 || type === 'authentication_error' || ACCOUNT_CODE.test(code) || ACCOUNT_WORDS.test(words)) {
    return operatorMust('model_unauthorized', 'The model refused the key.', 'all', options);
  }
  // A firewall that blocks a message answers 403, too. That is no error of the API, and concerns only the turn.
  if (type === 'permission_error') {
    return operatorMust('model_unauthorized', 'The key may not use this model.', 'model', options);
  }
  // A rate limit may have the same words.
  const isOfRequest = status === 400 || status === 413 || status === 422;
  if (status === 413 || (isOfRequest && (type === 'request_too_large' || TOO_LONG.test(words))))
    return tooLong(options, lengthIn(words));
  const away = status === undefined || status >= 500 || [408, 409, 425, 429].includes(status);
  if (away || (type !== undefined && PASSING.has(type)) || headers?.get('x-should-retry') === 'true') {
    const most = headers?.get('x-should-retry') === 'false' ? 1 : MAX_ATTEMPTS;
    const message = status === 429 ? 'The model is rate limited.' : 'The model is overloaded or failing.';
    return unavailable(message, { most, retryAfterMs: retryAfterMs(headers) }, options);
  }
  const misconfigured = (message: string, concern: Concern): ModelFault =>
    operatorMust('model_misconfigured', message, concern, options);
  if (status === 404 && type === 'not_found_error') return misconfigured('The model is unknown, or gone.', 'model');
  if (status === 407) return misconfigured('The proxy on the way to the model refused the request (407).', 'all');
  if (status < 400 || [404, 405, 410].includes(status)) {
    return misconfigured(`Nothing at the model’s address answers as a model does (${status}).`, 'model');
  }
  if (SETTING.test(words)) return misconfigured('The model does not take the assistant’s settings.', 'assistant');
  return rejected(`The model refused the request (${status}).`, options);
}

/** The lengths that a refusal names; undefined: it names none, or the prompt would not be too long by them. */
function lengthIn(words: string): NamedLength | undefined {
  const { prompt, reply = 0, most } = (PROMPT_TOO_LONG.exec(words) ?? BOTH_TOO_LONG.exec(words))?.groups ?? {};
  const named = { tokens: Number(prompt), most: Number(most) - Number(reply) };
  return named.most > 0 && named.tokens > named.most ? named : undefined;
}

/** How long the model asks to wait, in milliseconds, capped: `retry-after-ms`, else `Retry-After` (RFC 9110, section 10.2.3). */
function retryAfterMs(headers: Headers | undefined): number | undefined {
  const exact = Number(headers?.get('retry-after-ms') || NaN);
  const ms = Number.isNaN(exact) ? retryAfter(headers?.get('retry-after')) : exact;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS);
}

/** Seconds or a date, as milliseconds from now; NaN: the value is neither. */
function retryAfter(value: string | null | undefined): number {
  if (!value) return NaN;
  if (/^\d+(\.\d+)?$/.test(value.trim())) return Number(value) * 1_000;
  // `Date.parse` accepts nearly any text. An HTTP-date begins with the day's name.
  return /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) - Date.now() : NaN;
}
