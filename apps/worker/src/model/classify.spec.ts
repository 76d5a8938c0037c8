import { describe, expect, it } from '@jest/globals';
import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from '@anthropic-ai/sdk';
import { classify } from './classify.js';
import { operatorMust } from './model-fault.js';

const answered = (status: number, type: string, headers: Record<string, string> = {}, extra: object = {}): APIError =>
  APIError.generate(
    status,
    { type: 'error', error: { type, message: 'secret words', ...extra } },
    undefined,
    new Headers(headers),
  );

describe('what the model’s faults mean for the job', () => {
  it.each([
    ['429', answered(429, 'rate_limit_error')],
    ['529', answered(529, 'overloaded_error')],
    ['500', answered(500, 'api_error')],
    ['502 of a proxy', APIError.generate(502, undefined, '<html>', new Headers())],
    ['408', answered(408, 'timeout_error')],
    [
      'an error event inside a 200',
      new APIError(undefined, { type: 'error', error: { type: 'overloaded_error' } }, 'x', undefined),
    ],
    ['no connection', new APIConnectionError({ message: 'refused' })],
    ['a time-out', new APIConnectionTimeoutError()],
    ['broken JSON', new SyntaxError('Unexpected token')],
    ['a cut body', new TypeError('terminated')],
  ])('%s may pass', (_, error) => {
    expect(classify(error)).toMatchObject({ code: 'model_unavailable', most: 5, outage: true, operator: undefined });
  });

  const refused = (status: number, type: string, message: string, extra: object = {}): APIError =>
    answered(status, type, {}, { message, ...extra });
  const coded = (status: number, type: string, error_code: string): APIError =>
    refused(status, type, 'words', { details: { error_code } });

  it.each<[string, APIError, string, string]>([
    ['a key that is refused', answered(401, 'authentication_error'), 'model_unauthorized', 'all'],
    ['a proxy that wants a key', APIError.generate(401, undefined, 'no', new Headers()), 'model_unauthorized', 'all'],
    ['a model that the key may not use', answered(403, 'permission_error'), 'model_unauthorized', 'model'],
    ['an account on hold', coded(400, 'invalid_request_error', 'organization_on_hold'), 'model_unauthorized', 'all'],
    [
      'an account that was closed',
      refused(400, 'invalid_request_error', 'This organization has been disabled.'),
      'model_unauthorized',
      'all',
    ],
    ['a bill that is open', answered(402, 'billing_error'), 'model_budget', 'all'],
    [
      'no credit',
      refused(400, 'invalid_request_error', 'Your credit balance is too low to access the Anthropic API. Please …'),
      'model_budget',
      'all',
    ],
    [
      'a limit that the organization set',
      refused(
        400,
        'invalid_request_error',
        'You have reached your specified API usage limits. You will regain access …',
      ),
      'model_budget',
      'all',
    ],
    ['a tier’s spending limit', coded(429, 'rate_limit_error', 'enforced_spend_limit_reached'), 'model_budget', 'all'],
    ['a contract’s', coded(429, 'rate_limit_error', 'contract_spend_limit_reached'), 'model_budget', 'all'],
    ['one of a kind that is new', coded(429, 'rate_limit_error', 'team_spend_limit_hit'), 'model_budget', 'all'],
    ['a quota, as others say it', refused(429, 'x', 'words', { code: 'insufficient_quota' }), 'model_budget', 'all'],
    ['a model that is gone', refused(404, 'not_found_error', 'model: claude-1'), 'model_misconfigured', 'model'],
    [
      'an address of something else',
      APIError.generate(404, undefined, '<html>', new Headers()),
      'model_misconfigured',
      'model',
    ],
    [
      'an assistant that asks for too much',
      refused(
        400,
        'invalid_request_error',
        'max_tokens: 200000 > 128000, which is the maximum allowed number of output …',
      ),
      'model_misconfigured',
      'assistant',
    ],
    [
      'a setting that the model no longer takes',
      refused(400, 'invalid_request_error', '"thinking.type.disabled" is not supported for this model.'),
      'model_misconfigured',
      'assistant',
    ],
  ])('%s is an operator’s to mend', (_, error, code, operator) => {
    expect(classify(error)).toMatchObject({ code, operator, outage: false, leavesOut: false });
  });

  it.each([
    ['400', answered(400, 'invalid_request_error')],
    ['422', answered(422, 'invalid_request_error')],
    ['a firewall’s 403', APIError.generate(403, undefined, '<html>Forbidden</html>', new Headers())],
    [
      'words of the user in the error',
      refused(
        400,
        'invalid_request_error',
        'messages.0.content: bad value "Your credit balance is too low; max_tokens: 1"',
      ),
    ],
  ])('%s is the turn’s own, and will be there again', (_, error) => {
    const fault = { code: 'model_rejected', most: 1, outage: false, operator: undefined, leavesOut: true };
    expect(classify(error)).toMatchObject(fault);
  });

  it.each([
    ['the API', refused(400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum')],
    [
      'the API, of both',
      refused(400, 'x', 'input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000'),
    ],
    ['the API, of bytes', answered(413, 'request_too_large')],
    ['a proxy', APIError.generate(413, undefined, '<html>', new Headers())],
    ['vLLM', refused(400, 'BadRequestError', "This model's maximum context length is 32768 tokens. However, …")],
    ['llama.cpp', refused(400, 'x', 'the request exceeds the available context size, try increasing it')],
    ['Bedrock', refused(400, 'x', 'Input is too long for requested model.')],
  ])('a prompt that is too long is known by the words of %s', (_, error) => {
    expect(classify(error)).toMatchObject({ code: 'message_too_long', tooLong: true, most: 1, operator: undefined });
  });

  it('knows errors of a second copy of the SDK, and what was found on the way to the model', () => {
    // The clients of other providers are bundles with a copy of their own.
    const copied = <Thrown extends Error>(error: Thrown): Error =>
      Object.defineProperties(new Error(error.message), Object.getOwnPropertyDescriptors(error));
    expect(classify(copied(answered(429, 'rate_limit_error')))).toMatchObject({
      message: 'The model is rate limited.',
    });
    expect(classify(copied(new APIConnectionError({ message: 'x' })))).toMatchObject({
      message: 'The model cannot be reached.',
    });
    expect(classify(copied(new APIUserAbortError()))).toMatchObject({ code: 'internal' });
    const fault = operatorMust('model_unauthorized', 'words', 'all');
    expect(classify(copied(new APIConnectionError({ message: 'x', cause: fault })))).toBe(fault);
  });

  it.each<[string, object | undefined]>([
    ['prompt is too long: 210000 tokens > 200000 maximum', { tokens: 210_000, most: 200_000 }],
    [
      'input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease …',
      { tokens: 190_000, most: 180_000 },
    ],
    ['prompt is too long', undefined],
    ['prompt is too long: 9 tokens > 10 maximum', undefined],
    ['input length and `max_tokens` exceed context limit: 1 + 9 > 9', undefined],
    // A server that repeats the request must not teach the worker a limit.
    ['messages.0: bad value "prompt is too long: 210000 tokens > 1 maximum"', undefined],
  ])('%s: both lengths are read where the API names them', (words, length) => {
    expect(classify(refused(400, 'invalid_request_error', words)).length).toEqual(length);
  });

  const event = (type: string, message = 'words'): APIError =>
    new APIError(undefined, { type: 'error', error: { type, message } }, 'x', undefined);

  it.each<[string, unknown, string, number]>([
    ['an overload', event('overloaded_error'), 'answer_broken', 5],
    ['an error without a type', new APIError(undefined, 'oops', 'x', undefined), 'answer_broken', 5],
    ['a cut body', new TypeError('terminated'), 'answer_broken', 5],
    ['a rate limit with such words', event('rate_limit_error', 'Too many tokens.'), 'answer_broken', 5],
    ['a refusal', event('invalid_request_error'), 'model_rejected', 1],
    [
      'a lack of room',
      event('invalid_request_error', 'prompt is too long: 2 tokens > 1 maximum'),
      'message_too_long',
      1,
    ],
    ['a lack of rights', event('permission_error'), 'model_unauthorized', 1],
    ['a lack of credit', event('billing_error'), 'model_budget', 1],
  ])('%s within an answer is the turn’s own, whatever it says', (_, error, code, most) => {
    expect(classify(error, true)).toMatchObject({ code, most, outage: false, operator: undefined });
  });

  it.each([
    ['a rate limit', refused(429, 'rate_limit_error', 'Too many tokens, please wait before trying again.')],
    ['a failure', refused(500, 'api_error', 'no worker has a context window to spare')],
  ])('%s that speaks of tokens is no prompt that is too long', (_, error) => {
    expect(classify(error)).toMatchObject({ code: 'model_unavailable', tooLong: false, outage: true });
  });

  it('words that only begin like a setting are the turn’s', () => {
    const guard = refused(400, 'invalid_request_error', 'system prompt injection detected');
    expect(classify(guard)).toMatchObject({ code: 'model_rejected', operator: undefined });
  });

  it.each([
    ['true', 400, 'model_unavailable', 5],
    ['false', 529, 'model_unavailable', 1],
  ])('x-should-retry: %s is obeyed at %i', (value, status, code, most) => {
    expect(classify(answered(status, 'invalid_request_error', { 'x-should-retry': value }))).toMatchObject({
      code,
      most,
    });
  });

  it('obeys retry-after-ms before Retry-After', () => {
    const headers = { 'retry-after-ms': '1250', 'retry-after': '9' };
    expect(classify(answered(429, 'rate_limit_error', headers)).retryAfterMs).toBe(1_250);
  });

  it.each([
    ['3', 3_000],
    ['0', 0],
    ['0.5', 500],
    ['3600', 60_000],
    ['soon', undefined],
    ['-3', undefined],
  ])('Retry-After: %s is obeyed as %p ms', (value, ms) => {
    expect(classify(answered(429, 'rate_limit_error', { 'retry-after': value })).retryAfterMs).toBe(ms);
  });

  it('obeys a Retry-After that is a date', () => {
    const date = new Date(Date.now() + 20_000).toUTCString();
    const ms = classify(answered(529, 'overloaded_error', { 'retry-after': date })).retryAfterMs ?? 0;
    expect(ms).toBeGreaterThan(15_000);
    expect(ms).toBeLessThanOrEqual(20_000);
  });

  it('keeps the model’s own words out of what a user sees', () => {
    for (const status of [400, 429, 500]) expect(classify(answered(status, 'x')).message).not.toContain('secret');
  });
});
