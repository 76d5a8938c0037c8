import { describe, expect, it } from '@jest/globals';
import type { Tool } from '#database/entities/tool.js';
import { checkBy } from '#tools/json-schema.js';
import { plannedCalls } from './planned-calls.js';

const tool = (name: string, settings: object = {}): Tool => ({
  run: 'http',
  name,
  description: 'd',
  input_schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
  approval: 'never',
  result_max_bytes: 1024,
  url: 'https://example.com',
  headers: {},
  repeatable: false,
  timeout_seconds: 1,
  ...settings,
});
const TOOLS = [
  tool('quick'),
  tool('asked', { approval: 'always' }),
  tool('screen', { run: 'client' }),
  tool('both', { run: 'client', approval: 'always' }),
  { run: 'provider', type: 'web_search_20250305', name: 'web_search' } as Tool,
];
const planned = (name: unknown, input: unknown = { n: 1 }) =>
  plannedCalls([{ id: 'toolu_1', name: name as string, input: input as Record<string, unknown> }], TOOLS, checkBy)[0];

describe('the tool calls that an answer asks for', () => {
  it.each([
    ['quick', 'queued'],
    ['asked', 'awaiting_approval'],
    ['screen', 'awaiting_result'],
    ['both', 'awaiting_approval'],
  ])('begin as their tool says: %s is %s', (name, status) => {
    expect(planned(name)).toMatchObject({ name, input: { n: 1 }, status, result: null, isError: false });
  });

  it.each([
    ['an unknown name', 'rm', {}, /no tool rm/],
    ['a tool that the provider runs', 'web_search', {}, /no tool/],
    ['a wrong input', 'quick', { n: 'x' }, /schema.*\/n must be integer/],
    ['a missing field', 'quick', {}, /required property 'n'/],
    ['an input that is no object', 'quick', [1], /must be an object/],
    [
      'an input that is nested too deeply',
      'quick',
      JSON.parse('{"a":'.repeat(70) + '1' + '}'.repeat(70)),
      /too deeply/,
    ],
  ])('do not run with %s, and the model learns why', (_, name, input, result) => {
    expect(planned(name, input)).toMatchObject({
      status: 'failed',
      isError: true,
      result: expect.stringMatching(result),
    });
  });

  it('hold nothing that PostgreSQL cannot store', () => {
    const call = planned('quick', { n: 1, 'a\0b': ['\0', '\ud83d', { deep: 'x\0' }] });
    expect(call?.input).toEqual({ n: 1, 'a\uFFFDb': ['\uFFFD', '\uFFFD', { deep: 'x\uFFFD' }] });
    expect(planned('r\0m\ud83d')?.name).toBe('rm\uFFFD');
  });

  it('are at most sixteen a step', () => {
    const uses = Array.from({ length: 18 }, (_, n) => ({ id: `toolu_${n}`, name: 'quick', input: { n } }));
    const calls = plannedCalls(uses, TOOLS, checkBy);
    expect(calls.filter(({ status }) => status === 'queued')).toHaveLength(16);
    expect(calls.slice(16).map(({ result }) => result)).toEqual(Array(2).fill(expect.stringContaining('at most 16')));
  });

  it('cannot be told apart with one id, so the answer is rejected', () => {
    const use = { id: 'toolu_1', name: 'quick', input: { n: 1 } };
    expect(() => plannedCalls([use, use], TOOLS, checkBy)).toThrow('one id');
  });
});
