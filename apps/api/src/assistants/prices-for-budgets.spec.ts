import { describe, expect, it } from '@jest/globals';
import { checkAssistants } from './assistants-file.js';
import { sentence } from './faults.js';

const assistant = {
  slug: 'a',
  name: 'A',
  description: 'D',
  system_prompt: 'P',
  welcome_message: 'W',
  model: 'm',
  fallback_model: 'other',
};
const prices = { currency: 'EUR', models: { m: { input: 1, output: 2 } } };

describe('an assistants file with budgets in money', () => {
  const faultsOf = async (document: object, usersHaveCost: boolean): Promise<string[]> =>
    (await checkAssistants(document, { usersHaveCost })).faults.map((fault) => sentence(fault, document));

  it('has the prices of all models that may answer, or says which are missing, and why they are needed', async () => {
    const document = { prices, assistants: [assistant, { ...assistant, slug: 'b', cost_per_day: 5 }] };
    const all = { ...prices, models: { ...prices.models, other: { input: 1, output: 2 } } };
    expect(await faultsOf({ ...document, prices: all }, true)).toEqual([]);
    const ofB = expect.stringMatching(/cost_per_day.*needs the price of "other" in `prices`/);
    expect(await faultsOf(document, false)).toEqual([ofB]);
    const ofA = expect.stringMatching(/fallback_model.*needs the price of "other".*because USER_COST_PER_DAY is set/);
    expect(await faultsOf(document, true)).toEqual([ofA, ofB]);
    expect(await faultsOf({ assistants: [assistant] }, true)).toHaveLength(2);
    expect(await faultsOf({ assistants: [assistant] }, false)).toEqual([]);
  });
});
