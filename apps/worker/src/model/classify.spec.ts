import { describe, expect, it } from '@jest/globals';
import { APIConnectionError, APIConnectionTimeoutError, APIError } from '@anthropic-ai/sdk';
import { classify } from './classify.js';

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
    expect(classify(error)).toMatchObject({ code: 'model_unavailable', retryable: true });
  });

  it.each([
    ['400', answered(400, 'invalid_request_error')],
    ['401', answered(401, 'authentication_error')],
    ['403', answered(403, 'permission_error')],
    ['404', answered(404, 'not_found_error')],
    [
      'a spending limit',
      answered(429, 'rate_limit_error', {}, { details: { error_code: 'enforced_spend_limit_reached' } }),
    ],
  ])('%s will not', (_, error) => {
    expect(classify(error)).toMatchObject({ code: 'model_rejected', retryable: false });
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
