import { APIConnectionError, APIError } from '@anthropic-ai/sdk';
import { describe, expect, it } from '@jest/globals';
import type { FinishedStep } from '#jobs/steps.js';
import { classify } from './classify.js';
import { isForFallback, withModel } from './fallback.js';
import { broken } from './model-fault.js';

const step = (model: string | null): FinishedStep => ({
  content: [],
  stopReason: 'tool_use',
  otherParts: null,
  text: '',
  calls: null,
  model,
});
const job = { model: 'first', fallbackModel: 'second', steps: [] as FinishedStep[] };
const held =
  (...models: string[]) =>
  (model: string): boolean =>
    models.includes(model);

describe('a turn with a fallback model', () => {
  it('begins with its own model, unless only that is held back', () => {
    expect(withModel(job, held())).toBe(job);
    expect(withModel(job, held('second'))).toBe(job);
    expect(withModel(job, held('first'))).toMatchObject({ model: 'second', fallbackModel: null });
    expect(withModel(job, held('first', 'second'))).toBe(job);
    const alone = { ...job, fallbackModel: null };
    expect(withModel(alone, held('first'))).toBe(alone);
  });

  it('goes on with the model that has made its steps, whatever is held back', () => {
    for (const isHeld of [held(), held('first'), held('second')]) {
      const begun = (model: string | null) => withModel({ ...job, steps: [step('first'), step(model)] }, isHeld);
      expect(begun('second')).toMatchObject({ model: 'second', fallbackModel: null });
      expect(begun('first')).toMatchObject({ model: 'first', fallbackModel: null });
      expect(begun(null)).toMatchObject({ model: 'first', fallbackModel: null });
    }
  });
});

describe('a fault', () => {
  const answered = (status: number, type: string, words = 'x'): unknown =>
    classify(APIError.generate(status, { type: 'error', error: { type, message: words } }, undefined, new Headers()));

  it.each([
    ['an overloaded model', answered(529, 'overloaded_error')],
    ['a rate limit', answered(429, 'rate_limit_error')],
    ['an error of the server', answered(500, 'api_error')],
    ['a model that is gone', answered(404, 'not_found_error')],
    ['a model that the key may not use', answered(403, 'permission_error')],
  ])('is one for the fallback model: %s', (_, fault) => {
    expect(isForFallback(fault)).toBe(true);
  });

  it.each([
    ['a server that cannot be reached', classify(new APIConnectionError({ message: 'x' }))],
    ['a wrong key', answered(401, 'authentication_error')],
    ['no credit', answered(400, 'invalid_request_error', 'Your credit balance is too low to go on.')],
    ['settings that are refused', answered(400, 'invalid_request_error', 'thinking: x')],
    ['a turn that is refused', answered(400, 'invalid_request_error')],
    ['a prompt that is too long', answered(400, 'invalid_request_error', 'prompt is too long')],
    ['an answer that broke off', broken('x')],
    ['a fault of ours', new Error('x')],
  ])('is none for it: %s', (_, fault) => {
    expect(isForFallback(fault)).toBe(false);
  });
});
