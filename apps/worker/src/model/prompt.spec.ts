import { describe, expect, it } from '@jest/globals';
import type { HistoryRow } from '#jobs/history.js';
import { shorter, toModelMessages } from './prompt.js';

const rows = (...texts: string[]): HistoryRow[] =>
  texts
    .map((text, index) => {
      const [role = '', content = ''] = text.split(': ');
      return { seq: index + 2, role: ({ u: 'user', a: 'assistant', s: 'system' } as const)[role] ?? 'user', content };
    })
    .reverse();

describe('what becomes of a history', () => {
  it.each([
    ['plain', rows('u: one', 'a: two', 'u: three'), ['user one', 'assistant two', 'user three']],
    ['with a welcome', rows('s: hello', 'u: one'), ['user one']],
    ['cut before an assistant’s message', rows('a: old', 'u: one'), ['user one']],
    [
      'with two of the user’s in a row',
      rows('u: one', 'u: two', 'a: three', 'u: four'),
      ['user one\n\ntwo', 'assistant three', 'user four'],
    ],
    [
      'with a partial reply and a retry',
      rows('u: one', 'a: par', 'u: again'),
      ['user one', 'assistant par', 'user again'],
    ],
    [
      'with what is blank to the model',
      rows('u: one', 'a: \u0085\u001f\ufeff \n', 'u: \u001c', 'u: two'),
      ['user one\n\ntwo'],
    ],
    ['empty', [], []],
  ])('%s: roles alternate and the user begins', (_, newestFirst, expected) => {
    expect(toModelMessages(newestFirst).map(({ role, content }) => `${role} ${content as string}`)).toEqual(expected);
  });
});

describe('a history that the model found too long', () => {
  it('loses its older half again and again, and never what is to be answered', () => {
    let history: readonly HistoryRow[] | undefined = rows(
      ...Array.from({ length: 10 }, (_, n) => [`u: ${n}`, `a: ${n}`]).flat(),
      'u: this',
      'u: and that',
    );
    const lengths: number[] = [];
    while (history !== undefined) {
      lengths.push(history.length);
      expect(history.slice(0, 2).map(({ content }) => content)).toEqual(['and that', 'this']);
      history = shorter(history);
    }
    expect(lengths).toEqual([22, 11, 6, 3, 2]);
  });

  it('cannot become shorter when it is nothing but what is to be answered', () => {
    expect(shorter(rows('u: one', 'u: two'))).toBeUndefined();
  });
});
