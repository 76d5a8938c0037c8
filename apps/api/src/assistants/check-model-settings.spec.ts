import { describe, expect, it } from '@jest/globals';
import { checkAssistants } from './assistants-file.js';
import { sentence } from './faults.js';

const assistant = { slug: 's', name: 'S', description: 'D', system_prompt: 'P', welcome_message: 'W', model: 'm' };

/** The faults of an assistant with these settings, without its name. */
const faultsOf = async (settings: object): Promise<string[]> => {
  const document = { assistants: [{ ...assistant, ...settings }] };
  const { faults } = await checkAssistants(document);
  return faults.map((fault) => sentence(fault, document).replace('"s": ', ''));
};
const settingsOf = async (settings: object) =>
  (await checkAssistants({ assistants: [{ ...assistant, ...settings }] })).definitions[0];

describe('the settings of a model', () => {
  it('are all taken as they are given', async () => {
    const given = {
      model: 'claude-sonnet-5-5',
      fallback_model: 'claude-opus-5-5',
      max_output_tokens: 128_000,
      thinking: 'adaptive',
      effort: 'max',
      stop_sequences: ['END', '\n\nUser:'],
      cache_ttl: '1h',
      context_tokens: 872_000,
      compaction: 'summary',
    };
    expect(await faultsOf(given)).toEqual([]);
    expect(await settingsOf(given)).toMatchObject(given);
    const output_schema = { type: 'object', properties: {}, additionalProperties: false };
    expect(await settingsOf({ output_schema })).toMatchObject({ output_schema });
  });

  it.each<[field: string, value: unknown, fault: string]>([
    ['fallback_model', '', 'fallback_model must not be blank.'],
    ['fallback_model', 'm', 'fallback_model must be another model than `model`.'],
    ['stop_sequences', 'END', 'stop_sequences must be a list.'],
    ['stop_sequences', ['END', '\n'], 'stop_sequences[1] must not be blank.'],
    ['stop_sequences', [1], 'stop_sequences[0] must be a string.'],
    ['stop_sequences', ['x'.repeat(101)], 'stop_sequences[0] must be at most 100 characters long.'],
    ['stop_sequences', Array(17).fill('x'), 'stop_sequences must have at most 16 entries.'],
    ['cache_ttl', '10m', 'cache_ttl must be 5m or 1h.'],
    ['context_tokens', 1_999, 'context_tokens must be a whole number from 2000 to 10000000.'],
    ['context_tokens', '150k', 'context_tokens must be a whole number from 2000 to 10000000.'],
    ['compaction', 'none', 'compaction must be truncate or summary.'],
    ['output_schema', 'object', 'output_schema must be a JSON Schema: a mapping.'],
  ])('are refused: %s as %j', async (field, value, fault) => {
    expect(await faultsOf({ [field]: value })).toEqual([fault]);
  });

  it('are refused together if they contradict one another, whatever the model', async () => {
    const output_schema = { type: 'object', properties: {}, additionalProperties: false };
    expect(await faultsOf({ output_schema, stop_sequences: ['END'] })).toEqual([
      'stop_sequences must be left out with `output_schema`: they would cut the JSON.',
    ]);
    expect(await faultsOf({ context_tokens: 2_000, system_prompt: 'a word '.repeat(2_500) })).toEqual([
      'context_tokens is too small: `system_prompt` alone has more tokens.',
    ]);
    expect(await faultsOf({ context_tokens: 2_000, system_prompt: 'a word '.repeat(1_000) })).toEqual([]);
  });

  it.each<[model: string, settings: object, faults: string[]]>([
    [
      'claude-sonnet-5-5',
      { thinking: 'disabled' },
      ['thinking must be adaptive or between_tools with claude-sonnet-5-5, or be left out.'],
    ],
    [
      'claude-sonnet-5-5',
      { thinking: 'between_tools', effort: 'xhigh' },
      ['effort must be low, medium or high with claude-sonnet-5-5 and `thinking: between_tools`.'],
    ],
    ['claude-opus-5-5', { thinking: 'disabled' }, ['thinking must be adaptive with claude-opus-5-5, or be left out.']],
    [
      'claude-opus-5-5',
      { thinking: 'between_tools' },
      ['thinking must be adaptive with claude-opus-5-5, or be left out.'],
    ],
    [
      'claude-fable-5-1',
      { thinking: 'disabled' },
      ['thinking must be adaptive with claude-fable-5-1, or be left out.'],
    ],
    [
      'claude-haiku-5-5',
      { thinking: 'between_tools' },
      ['thinking must be adaptive or disabled with claude-haiku-5-5, or be left out.'],
    ],
    [
      'claude-haiku-5-5',
      { thinking: 'disabled', effort: 'max' },
      ['effort must be low, medium or high with claude-haiku-5-5 and `thinking: disabled`.'],
    ],
    ['claude-haiku-4-5', { effort: 'low' }, ['effort must be left out with claude-haiku-4-5.']],
    [
      'claude-haiku-4-5',
      { thinking: 'adaptive' },
      ['thinking must be disabled with claude-haiku-4-5, or be left out.'],
    ],
    [
      'claude-haiku-4-5',
      { max_output_tokens: 64_001 },
      ['max_output_tokens must be at most 64000 with claude-haiku-4-5.'],
    ],
    [
      'claude-haiku-4-5',
      { max_output_tokens: 64_000 },
      ['context_tokens must be at most 136000 with claude-haiku-4-5 and this max_output_tokens.'],
    ],
    ['claude-opus-5', { thinking: 'disabled', effort: 'high' }, []],
    ['claude-sonnet-5', { thinking: 'disabled', effort: 'max' }, []],
    ['claude-sonnet-4-5', { max_output_tokens: 64_000, thinking: 'disabled' }, []],
  ])('are refused if it is known that the model refuses them: %s with %j', async (model, settings, faults) => {
    expect(await faultsOf({ model, ...settings })).toEqual(faults);
    // Another model in its place gets the same settings.
    expect(await faultsOf({ fallback_model: model, ...settings })).toEqual(faults);
  });

  it('are held to a model by its name on every platform, and to no other', async () => {
    const refused = ['thinking must be adaptive or between_tools with claude-sonnet-5-5, or be left out.'];
    for (const model of [
      'anthropic.claude-sonnet-5-5',
      'eu.anthropic.claude-sonnet-5-5-v1:0',
      'claude-sonnet-5-5@20260928',
      'claude-sonnet-5-5-20260928',
      'anthropic/claude-sonnet-5-5',
    ]) {
      expect([model, await faultsOf({ model, thinking: 'disabled' })]).toEqual([model, refused]);
    }
    for (const model of [
      'm',
      'my-claude-sonnet-5-5',
      'claude-sonnet-5-7',
      'claude-sonnet-5-50',
      'qwen3-coder',
      'claude-sonnet-5.5',
    ]) {
      expect([model, await faultsOf({ model, thinking: 'disabled', effort: 'max' })]).toEqual([model, []]);
    }
  });
});
