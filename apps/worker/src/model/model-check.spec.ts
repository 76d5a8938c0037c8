import { describe, expect, it } from '@jest/globals';
import { checkModels, type OfferedAssistant } from './model-check.js';
import { type KnownModel, readModel } from './models.js';

const model: KnownModel = {
  lifecycle: 'active',
  deprecatedOn: undefined,
  retiresOn: undefined,
  maxTokens: 64_000,
  maxInputTokens: 200_000,
  structuredOutputs: true,
  thinking: { adaptive: true, between_tools: false, disabled: true },
  effort: { low: true, medium: true, high: true, xhigh: false, max: false },
};
const silent: KnownModel = {
  lifecycle: undefined,
  deprecatedOn: undefined,
  retiresOn: undefined,
  maxTokens: undefined,
  maxInputTokens: undefined,
  structuredOutputs: undefined,
  thinking: {},
  effort: {},
};
const assistant: OfferedAssistant = {
  slug: 'support',
  model: 'm',
  fallbackModel: null,
  maxOutputTokens: 16_000,
  contextTokens: 136_000,
  thinking: null,
  effort: null,
  showReasoning: false,
  hasOutputSchema: false,
};
const found = (changes: Partial<OfferedAssistant>, known: KnownModel | 'unknown' = model): string[] =>
  checkModels([{ ...assistant, ...changes }], new Map([['m', known]])).map(
    ({ kind, message }) => `${kind}: ${message}`,
  );

describe('an assistant held against its model', () => {
  it('has no findings where the model takes all it asks for', () => {
    expect(found({})).toEqual([]);
    expect(found({ maxOutputTokens: 64_000, thinking: 'adaptive', effort: 'high' })).toEqual([]);
    expect(found({ showReasoning: true })).toEqual([]);
    expect(found({ thinking: 'disabled', effort: 'low', hasOutputSchema: true })).toEqual([]);
  });

  it('has none where nothing is known of the model, or not what would be asked of it', () => {
    expect(checkModels([assistant], new Map())).toEqual([]);
    const wild = { maxOutputTokens: 128_000, contextTokens: 10_000_000, hasOutputSchema: true } as const;
    expect(found({ ...wild, thinking: 'between_tools', effort: 'max' }, silent)).toEqual([]);
  });

  it('is told of a model that shows no reasoning', () => {
    const words = [
      'thinking: The assistant "support" has show_reasoning: true, and "m" does not take thinking: adaptive, which shows the reasoning: the ' +
        'model refuses its turns. Leave out show_reasoning.',
    ];
    expect(found({ showReasoning: true }, { ...model, thinking: { ...model.thinking, adaptive: false } })).toEqual(
      words,
    );
    expect(found({ showReasoning: true }, silent)).toEqual([]);
  });

  it('is told of a model that is unknown or retired, and of nothing else then', () => {
    const wrong = { maxOutputTokens: 128_000, effort: 'max' } as const;
    expect(found(wrong, 'unknown')).toEqual([
      `unknown: The assistant "support" has the model "m", which the model's server does not have: its turns fail. Correct the name.`,
    ]);
    expect(found(wrong, { ...model, lifecycle: 'retired' })).toEqual([
      'retired: The assistant "support" has the model "m", which is retired: its turns fail. Give it another model.',
    ]);
  });

  it('is told of a model that is deprecated, with its dates as far as they are known', () => {
    const deprecated = { ...model, lifecycle: 'deprecated' };
    const begin = 'deprecated: The assistant "support" has the model "m", which is deprecated';
    const end = 'its turns will fail then. Give it another model before.';
    expect(found({}, deprecated)).toEqual([`${begin}: ${end}`]);
    expect(found({}, { ...deprecated, deprecatedOn: '2026-10-01', retiresOn: '2027-04-01' })).toEqual([
      `${begin} since 2026-10-01, and its retirement is planned for 2027-04-01: ${end}`,
    ]);
  });

  it('is told at once of all that the model refuses, and of what it takes instead', () => {
    const refused = { maxOutputTokens: 64_001, thinking: 'between_tools', effort: 'xhigh' } as const;
    expect(found(refused)).toEqual([
      'max_output_tokens: The assistant "support" has max_output_tokens: 64001, and "m" writes at most 64000: the model refuses its turns. Lower max_output_tokens.',
      'thinking: The assistant "support" has thinking: between_tools, which "m" does not take: the model refuses its turns. Choose adaptive, disabled, or leave it out.',
      'effort: The assistant "support" has effort: xhigh, which "m" does not take: the model refuses its turns. Choose low, medium, high, or leave it out.',
    ]);
    expect(found({ effort: 'low' }, { ...model, effort: { low: false } })).toEqual([
      'effort: The assistant "support" has effort: low, which "m" does not take: the model refuses its turns. Leave it out.',
    ]);
  });

  it('is told of a context without room for a reply, and of a schema to which the model cannot be held', () => {
    expect(found({ contextTokens: 184_000 })).toEqual([]);
    expect(found({ contextTokens: 184_001, hasOutputSchema: true }, { ...model, structuredOutputs: false })).toEqual([
      'context_tokens: The assistant "support" has context_tokens: 184001 and max_output_tokens: 16000, and the context of "m" has 200000: in long chats the model has no room for its reply. Lower context_tokens to 184000.',
      'output_schema: The assistant "support" has an output_schema, to which "m" cannot be held: the model refuses its turns. Give it another model, or leave it out.',
    ]);
  });

  it('is told the same of the model that answers in the place of the first', () => {
    const both = { ...assistant, fallbackModel: 'n', effort: 'high' } as const;
    const known = (other: KnownModel | 'unknown'): string[] =>
      checkModels(
        [both],
        new Map([
          ['m', model],
          ['n', other],
        ] as const),
      ).map((one) => `${one.model} ${one.message}`);
    expect(known(model)).toEqual([]);
    expect(known('unknown')).toEqual([
      `n The assistant "support" has the fallback_model "n", which the model's server does not have: turns that fall back to it fail. Correct the name.`,
    ]);
    expect(known({ ...model, effort: { high: false } })).toEqual([
      'n The assistant "support" has effort: high, which "n" does not take: the model refuses turns that fall back to it. Leave it out.',
    ]);
    expect(known({ ...model, lifecycle: 'retired' })).toEqual([
      'n The assistant "support" has the fallback_model "n", which is retired: turns that fall back to it fail. Give it another fallback_model.',
    ]);
  });

  it('is told what becomes of its turns if another model can answer them', () => {
    const both = { ...assistant, fallbackModel: 'n' };
    const [finding] = checkModels([both], new Map([['m', { ...model, lifecycle: 'retired' }]]));
    expect(finding?.message).toBe(
      'The assistant "support" has the model "m", which is retired: its turns go to the fallback_model. Give it another model.',
    );
  });

  it('is named by each finding, with its model', () => {
    const others = [
      { ...assistant, slug: 'billing', model: 'gone' },
      { ...assistant, slug: 'general', maxOutputTokens: 100_000 },
    ];
    const models = new Map<string, KnownModel | 'unknown'>([
      ['m', model],
      ['gone', 'unknown'],
    ]);
    expect(checkModels([assistant, ...others], models)).toMatchObject([
      { assistant: 'billing', model: 'gone', kind: 'unknown' },
      { assistant: 'general', model: 'm', kind: 'max_output_tokens' },
    ]);
  });
});

describe('what a server tells of a model', () => {
  const reported = { type: 'model', id: 'm' };

  it('is taken as it is meant', () => {
    const yes = { supported: true };
    const no = { supported: false };
    expect(
      readModel({
        ...reported,
        lifecycle: 'deprecated',
        deprecated_at: '2026-10-01T00:00:00Z',
        retires_at: '2027-04-01T00:00:00Z',
        max_tokens: 64_000,
        capabilities: {
          thinking: { ...yes, types: { adaptive: yes, between_tools: no, disabled: yes, enabled: no } },
          effort: { ...yes, low: yes, medium: yes, high: yes, xhigh: null, max: no },
        },
      }),
    ).toEqual({
      lifecycle: 'deprecated',
      deprecatedOn: '2026-10-01',
      retiresOn: '2027-04-01',
      maxTokens: 64_000,
      thinking: { adaptive: true, between_tools: false, disabled: true },
      effort: { low: true, medium: true, high: true, max: false },
    });
  });

  it('refuses every effort and the thinking that asks for it, where the model has neither', () => {
    const no = { supported: false };
    const level = { supported: true };
    expect(readModel({ ...reported, capabilities: { thinking: no, effort: { ...no, low: level } } })).toMatchObject({
      thinking: { adaptive: false },
      effort: { low: false, medium: false, high: false, xhigh: false, max: false },
    });
  });

  it.each([
    {},
    { capabilities: null, lifecycle: 7, deprecated_at: 'soon', retires_at: null, max_tokens: 'many' },
    { capabilities: { thinking: 'yes', effort: [] }, max_tokens: 0 },
    { capabilities: { thinking: { supported: true, types: null }, effort: { supported: 1, low: true } } },
  ])('says nothing by what is missing or of another kind: %j', (rest) => {
    expect(readModel({ ...reported, ...rest })).toEqual(silent);
  });

  it.each([undefined, null, 'm', 7, [], {}, { id: 'm' }, { id: 'm', object: 'model' }, { type: 'model', id: 7 }])(
    'is nothing where it is no model: %j',
    (value) => {
      expect(readModel(value)).toBeUndefined();
    },
  );
});
