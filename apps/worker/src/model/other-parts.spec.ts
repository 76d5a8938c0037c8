import { beforeEach, describe, expect, it } from '@jest/globals';
import { LEFT_OUT, LONGEST_REASONING, OtherParts } from './other-parts.js';

describe('the parts of an answer besides its text', () => {
  let shown: { reasoning: string; sources: string[] };
  let parts: OtherParts;
  const begin = (showsReasoning = true, before = ''): OtherParts =>
    new OtherParts(showsReasoning, before, {
      reasoning: (text) => (shown.reasoning += text),
      source: ({ url }) => shown.sources.push(url),
    });
  beforeEach(() => {
    shown = { reasoning: '', sources: [] };
    parts = begin();
  });
  /** The reasoning as it is kept, which is what was shown. */
  const reasoning = (): string | undefined => {
    const part = parts.parts?.find(({ type }) => type === 'reasoning') as { text: string } | undefined;
    expect(part?.text ?? '').toBe(shown.reasoning.toWellFormed());
    return part?.text;
  };

  it('are none if nothing was thought or cited', () => {
    parts.beginBlock();
    parts.think('');
    parts.think(undefined);
    parts.think('\0');
    parts.cite(null);
    expect(parts.parts).toBeNull();
  });

  it('are thoughts, each block a paragraph, also after those of earlier steps', () => {
    parts = begin(true, 'Before.');
    for (const [one, other] of [
      ['I ', 'think.'],
      ['Again\n', ''],
      ['and', ' again.'],
    ] as const) {
      parts.beginBlock();
      parts.think(one);
      parts.think(other);
    }
    expect(reasoning()).toBe('\n\nI think.\n\nAgain\nand again.');
  });

  it('are no thoughts where the assistant does not show them', () => {
    parts = begin(false);
    parts.think('secret');
    parts.cite({ url: 'https://a.test' });
    expect(parts.parts).toEqual([{ type: 'source', url: 'https://a.test', title: null }]);
    expect(shown).toEqual({ reasoning: '', sources: ['https://a.test'] });
  });

  it('have a longest length, over all steps, behind which they say that the rest is left out, once', () => {
    const almost = 'x'.repeat(LONGEST_REASONING - 5);
    parts = begin(true, almost);
    parts.think('12');
    parts.beginBlock();
    parts.think('345');
    parts.think('6');
    expect(reasoning()).toBe(`\n\n12\n${LEFT_OUT}`);
    parts = begin(true, almost + reasoning());
    shown.reasoning = '';
    parts.think('more');
    expect(reasoning()).toBeUndefined();
  });

  it('are cut between characters', () => {
    parts = begin(true, 'x'.repeat(LONGEST_REASONING - 3));
    parts.think('😀😀');
    expect(reasoning()).toBe(`\n\n${LEFT_OUT}`);
  });

  it('are sources, each once, and only addresses of the web', () => {
    for (const url of ['https://a.test/1', 'https://a.test/1', 'http://b.test', 'HTTPS://c.test'])
      parts.cite({ url, title: 'T' });
    for (const url of [
      'javascript:alert(1)',
      'https://',
      'https://a\n',
      'https://a\u0085b',
      5,
      `https://${'x'.repeat(2_000)}`,
    ])
      parts.cite({ url, title: 'T' });
    parts.cite({ url: 'https://d.test', title: `a\nb\0${'x'.repeat(300)}` });
    expect(shown.sources).toEqual(['https://a.test/1', 'http://b.test', 'HTTPS://c.test', 'https://d.test']);
    expect(parts.parts?.at(-1)).toEqual({ type: 'source', url: 'https://d.test', title: `a b${'x'.repeat(197)}` });
  });
});
