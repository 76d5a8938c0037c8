import { describe, expect, it } from '@jest/globals';
import { checkAssistants } from './assistants-file.js';
import { sentence } from './faults.js';

const assistant = { slug: 's', name: 'S', description: 'D', system_prompt: 'P', welcome_message: 'W', model: 'm' };
const checked = async (prices: unknown, more: object = {}) => {
  const document = { prices, assistants: [{ ...assistant, ...more }] };
  const { faults, ...file } = await checkAssistants(document);
  return { prices: file.prices, faults: faults.map((fault) => sentence(fault, document)) };
};
const faultsOf = async (prices: unknown, more?: object): Promise<string[]> => (await checked(prices, more)).faults;
const of = (price: object): object => ({ currency: 'EUR', models: { m: { input: 2, output: 10, ...price } } });

describe('the prices of the assistants file', () => {
  it('may be left out', async () => {
    expect(await checked(undefined)).toEqual({ prices: undefined, faults: [] });
  });

  it('need only those of input and output: the others are parts of the price of input', async () => {
    const { prices, faults } = await checked(of({}));
    expect([prices?.currency, faults]).toEqual(['EUR', []]);
    expect(prices?.models.get('m')).toEqual({
      input: 2,
      output: 10,
      cache_read: 0.2,
      cache_write_5m: 2.5,
      cache_write_1h: 4,
      server_tools: {},
    });
  });

  it('may each be given, also as 0, and those of requests of the provider’s tools', async () => {
    const given = {
      cache_read: 0.1,
      cache_write_5m: 0,
      cache_write_1h: 3,
      server_tools: { web_search_requests: 0.01 },
    };
    expect((await checked(of(given))).prices?.models.get('m')).toEqual({ input: 2, output: 10, ...given });
    expect(await faultsOf({ currency: 'EUR', models: { free: { input: 0, output: 0 } } })).toEqual([]);
  });

  it.each<[what: string, prices: unknown, faults: string[]]>([
    ['a list', [], ['prices must be a mapping.']],
    [
      'nothing',
      {},
      [
        'prices.currency must be the three letters of a currency, for instance USD.',
        'prices.models must be a mapping.',
      ],
    ],
    [
      'a sign for a currency, and further fields',
      { currency: '€', models: {}, vat: 19 },
      ['prices.currency must be the three letters of a currency, for instance USD.', 'prices.vat is not known.'],
    ],
    ['a number for a model', { currency: 'EUR', models: { m: 3 } }, ['prices.models.m must be a mapping.']],
    [
      'no price of input and output',
      { currency: 'EUR', models: { m: {} } },
      [
        'prices.models.m.input must be a number from 0 to 1000000000.',
        'prices.models.m.output must be a number from 0 to 1000000000.',
        // These would be parts of the price of input.
        ...['cache_read', 'cache_write_5m', 'cache_write_1h'].map(
          (name) => `prices.models.m.${name} must be a number from 0 to 1000000000.`,
        ),
      ],
    ],
    ['a negative price', of({ cache_read: -1 }), ['prices.models.m.cache_read must be a number from 0 to 1000000000.']],
    [
      'a price without end',
      of({ output: Infinity }),
      ['prices.models.m.output must be a number from 0 to 1000000000.'],
    ],
    ['a text', of({ output: '10' }), ['prices.models.m.output must be a number from 0 to 1000000000.']],
    ['a field that is not known', of({ images: 1 }), ['prices.models.m.images is not known.']],
    ['tools as a list', of({ server_tools: [] }), ['prices.models.m.server_tools must be a mapping.']],
    [
      'tools without names, and without prices',
      of({ server_tools: { 'web search': 1, web_search_requests: null } }),
      [
        'prices.models.m.server_tools[…] is no name of requests in the usage of a model.',
        'prices.models.m.server_tools.web_search_requests must be a number from 0 to 1000000000.',
      ],
    ],
    [
      'a model without a name',
      { currency: 'EUR', models: { ' ': { input: 1, output: 1 } } },
      ['prices.models[…] is no name of a model: it must not be blank.'],
    ],
  ])('must not be %s', async (_, prices, faults) => {
    expect(await faultsOf(prices)).toEqual(faults);
  });

  it('must have those of all models of an assistant that has a budget', async () => {
    expect(await faultsOf(of({}), { cost_per_day: 5 })).toEqual([]);
    const needs = (model: string): string =>
      `"s": cost_per_day needs the price of "${model}" in \`prices\`, at the top of the file.`;
    expect(await faultsOf(undefined, { cost_per_day: 5 })).toEqual([needs('m')]);
    expect(await faultsOf(of({}), { cost_per_day: 5, fallback_model: 'other' })).toEqual([needs('other')]);
    expect(await faultsOf(of({}), { cost_per_day: 0 })).toEqual([
      '"s": cost_per_day must be a number above 0, and at most 1000000000.',
    ]);
  });
});
