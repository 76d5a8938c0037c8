import { describe, expect, it } from '@jest/globals';
import type { HistoryRow } from '#jobs/history.js';
import { toModelMessages } from './history.js';

const rows = (...texts: string[]): HistoryRow[] =>
  texts
    .map((text) => {
      const [role = '', content = ''] = text.split(': ');
      return { role: ({ u: 'user', a: 'assistant', s: 'system' } as const)[role] ?? 'user', content };
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
