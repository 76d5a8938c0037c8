import { describe, expect, it } from '@jest/globals';
import { checkAssistants, readAssistantsFile } from './assistants-file.js';

const good = { slug: 'support', name: 'S', description: 'D', system_prompt: 'P', welcome_message: 'W', model: 'm' };

describe('the assistants file', () => {
  it('that ships has support, billing and general', async () => {
    const shipped = await readAssistantsFile('assistants.yaml');
    expect(shipped.map(({ slug }) => slug).sort()).toEqual(['billing', 'general', 'support']);
  });

  it('may leave the length of a reply to us', () => {
    expect(checkAssistants({ assistants: [good] })).toEqual({
      definitions: [{ ...good, max_output_tokens: 8192 }],
      faults: [],
    });
  });

  it('may say how the model thinks, and with how much effort', () => {
    const chosen = [
      { ...good, thinking: 'between_tools' },
      { ...good, slug: 'sales', thinking: 'adaptive', effort: 'max' },
      { ...good, slug: 'quick', thinking: 'disabled', effort: 'low' },
    ];
    const { definitions, faults } = checkAssistants({ assistants: chosen });
    expect(faults).toEqual([]);
    expect(definitions).toEqual(chosen.map((definition) => ({ ...definition, max_output_tokens: 8192 })));
  });

  it('is told all its faults at once, each with the entry it is in', () => {
    const { faults } = checkAssistants({
      assistants: [
        good,
        good,
        { ...good, slug: 'Sales' },
        {
          ...good,
          slug: 'x',
          name: '',
          max_output_tokens: 0,
          thinking: 'enabled',
          effort: 3,
          retention_days: 0.5,
          tone: 1,
        },
        5,
      ],
    });
    expect(faults).toEqual([
      '"support": is defined twice.',
      '"Sales": slug must be a lower-case name of a-z, 0-9 and dashes.',
      expect.stringMatching(/^"x": name /),
      expect.stringMatching(/^"x": max_output_tokens must/),
      '"x": thinking must be adaptive, between_tools or disabled.',
      '"x": effort must be low, medium, high, xhigh or max.',
      expect.stringMatching(/^"x": retention_days must be a whole number from 1 /),
      '"x": tone is not known.',
      'entry 5 must be a mapping.',
    ]);
  });

  it.each([null, {}, { assistants: [] }, { assistants: 'support' }, []])('%j defines nothing usable', (document) => {
    expect(checkAssistants(document).faults).toEqual(['`assistants` must be a list with entries.']);
  });

  it('that is missing is named', async () => {
    await expect(readAssistantsFile('nowhere.yaml')).rejects.toThrow(/ASSISTANTS_FILE nowhere.yaml/);
  });
});
