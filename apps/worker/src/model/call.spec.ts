import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Call } from './call.js';

const SENT = (): number => 400;

describe('a call of the model', () => {
  let call: Call;
  let answers: number;
  beforeEach(() => {
    jest.useFakeTimers();
    answers = 0;
    call = new Call(1_000, () => (answers += 1));
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('that was never sent, or refused, costs nothing', () => {
    expect(call.figures()).toMatchObject({ inputTokens: null, outputTokens: null, estimated: false });
    call.begin(SENT);
    call.refused();
    expect(call.figures()).toMatchObject({ inputTokens: null, outputTokens: null, estimated: false });
    expect(answers).toBe(0);
  });

  it('that is stopped before it is answered costs what was sent, as far as anybody knows', () => {
    call.begin(SENT);
    expect(call.figures()).toMatchObject({ inputTokens: 100, outputTokens: null, estimated: true });
  });

  it('that is whole costs what the model reports, at whatever moment', () => {
    call.begin(SENT);
    call.answers('m', { input: undefined, output: undefined });
    call.text('some text');
    call.ends({ input: 90, output: 12 });
    expect(call.figures()).toMatchObject({ messageId: 'm', inputTokens: 90, outputTokens: 12, estimated: false });
    expect(answers).toBe(1);
  });

  it('has what it writes to the cache for minutes and for an hour apart, also if the end repeats only the sum', () => {
    call.begin(SENT);
    call.answers('m', { input: 90, cacheRead: 10, cacheWrite: 70, cacheWrite1h: 60 });
    call.ends({ input: 90, output: 12, cacheRead: 10, cacheWrite: 70 });
    const parts = { cacheReadTokens: 10, cacheWrite5mTokens: 10, cacheWrite1hTokens: 60 };
    expect(call.figures()).toMatchObject(parts);
    call.begin(SENT);
    call.answers('m', { input: 5 });
    expect(call.figures()).toMatchObject(parts);
  });

  it('counts the last request’s prompt and text for the next turn, without thoughts; it is unknown if it was not reported', () => {
    call.begin(SENT);
    expect([call.contextTokens, call.inputTokens]).toEqual([null, 0]);
    call.answers('m', { input: 900, output: 1 });
    call.ends({ output: 50 });
    call.begin(SENT);
    expect(call.contextTokens).toBeNull();
    call.answers('n', { input: 400, output: 1 });
    call.ends({ output: 30, thinking: 20 });
    expect([call.contextTokens, call.inputTokens]).toEqual([410, 400]);
    expect(call.figures()).toMatchObject({ inputTokens: 1_300, outputTokens: 80 });
  });

  it('that is cut costs no less than was reported, nor than was seen, nor more than it was allowed', () => {
    call.begin(SENT);
    call.answers('m', { input: 90, output: 3 });
    expect(call.figures()).toMatchObject({ inputTokens: 90, outputTokens: 3, estimated: true });
    call.text('x'.repeat(250));
    expect(call.figures()).toMatchObject({ outputTokens: 100, estimated: true });
    call.text('漢'.repeat(50));
    expect(call.figures().outputTokens).toBe(160);
    call.unseen('x'.repeat(10_000));
    expect(call.figures().outputTokens).toBe(1_000);
  });

  it('costs for thoughts that nobody sees, by the time they take', () => {
    call.begin(SENT);
    call.answers('m', { input: 90, output: 1 });
    call.hides(true);
    jest.advanceTimersByTime(2_000);
    expect(call.figures().outputTokens).toBe(100);
    call.hides(false);
    jest.advanceTimersByTime(2_000);
    expect(call.figures().outputTokens).toBe(100);
  });

  it('of several requests is the sum of them, and an estimate if one of them is', () => {
    call.begin(SENT);
    call.answers('one', { input: 90, output: 1 });
    call.text('x'.repeat(25));
    call.hides(true);
    call.begin(SENT);
    jest.advanceTimersByTime(5_000);
    expect(call.figuresSoFar).toMatchObject({ inputTokens: 90, outputTokens: 10, estimated: true });
    call.answers('two', { input: 95, output: 1 });
    call.ends({ input: 95, output: 30 });
    expect(call.figures()).toMatchObject({ messageId: 'two', inputTokens: 185, outputTokens: 40, estimated: true });
  });

  it('gives the same figures, as one object, until there are others', () => {
    call.begin(SENT);
    const before = call.figuresSoFar;
    expect(call.figuresSoFar).toBe(before);
    call.answers('m', { input: 90, output: 1 });
    expect(call.figuresSoFar).not.toBe(before);
  });
});
