import { describe, expect, it } from '@jest/globals';
import type { HistoryRow } from '#jobs/history.js';
import { toModelMessages, toStepMessages } from './prompt.js';

const rows = (...texts: string[]): HistoryRow[] =>
  texts
    .map((text, index) => {
      const [role = '', content = ''] = text.split(': ');
      return { seq: index + 2, role: ({ u: 'user', a: 'assistant', s: 'system' } as const)[role] ?? 'user', content };
    })
    .reverse();

/** A message in words; the texts of its blocks have a bar between them. */
const words = ({ role, content }: ReturnType<typeof toModelMessages>[number]): string =>
  `${role} ${typeof content === 'string' ? content : (content as { text: string }[]).map(({ text }) => text).join(' | ')}`;

describe('what becomes of a history', () => {
  it.each([
    ['plain', rows('u: one', 'a: two', 'u: three'), ['user one', 'assistant two', 'user three']],
    ['with a welcome', rows('s: hello', 'u: one'), ['user one']],
    ['cut before an assistant’s message', rows('a: old', 'u: one'), ['user one']],
    [
      'with two of the user’s in a row',
      rows('u: one', 'u: two', 'a: three', 'u: four'),
      ['user one | two', 'assistant three', 'user four'],
    ],
    [
      'with a partial reply and a retry',
      rows('u: one', 'a: par', 'u: again'),
      ['user one', 'assistant par', 'user again'],
    ],
    [
      'with what is blank to the model',
      rows('u: one', 'a: \u0085\u001f\ufeff \n', 'u: \u001c', 'u: two'),
      ['user one | two'],
    ],
    ['empty', [], []],
  ])('%s: roles alternate and the user begins', (_, newestFirst, expected) => {
    expect(toModelMessages(newestFirst).map(words)).toEqual(expected);
  });
});

describe('a summary of what is before a history', () => {
  it('comes first, as a block of its own, whether messages of the user or a reply follow', () => {
    const [first, ...rest] = toModelMessages(rows('u: one', 'u: two', 'a: three', 'u: four'), false, 'Zoe asked.');
    expect(first).toEqual({
      role: 'user',
      content: [
        {
          type: 'text',
          text: expect.stringMatching(/^This is a summary of the conversation so far.*\n\nZoe asked\.\n/s),
        },
        { type: 'text', text: 'one' },
        { type: 'text', text: 'two' },
      ],
    });
    expect(rest.map(({ role, content }) => [role, content])).toEqual([
      ['assistant', 'three'],
      ['user', 'four'],
    ]);
    expect(toModelMessages(rows('a: three', 'u: four'), false, 'Zoe asked.').map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'user',
    ]);
  });
});

describe('an earlier reply with tool calls', () => {
  const call = (id: string, step: number, result = 'done', is_error = false) => ({
    type: 'tool_call' as const,
    tool_call: { id, step, name: 'find', input: { n: step }, result, is_error },
  });
  const text = (words: string) => ({ type: 'text' as const, text: words });
  const use = (id: string, n: number) => ({ type: 'tool_use', id, name: 'find', input: { n } });
  const result = (id: string) => ({ type: 'tool_result', tool_use_id: id, content: 'done' });
  const history = (parts: NonNullable<HistoryRow['parts']>, ...before: HistoryRow[]): HistoryRow[] => [
    { seq: 9, role: 'user', content: 'next' },
    { seq: 8, role: 'assistant', content: 'text', parts },
    ...before,
    { seq: 2, role: 'user', content: 'one' },
  ];
  const asked = { role: 'user', content: 'one' };
  const next = { role: 'user', content: 'next' };

  it('is sent as its steps, each call with its result', () => {
    const parts = [text('I look.'), call('a', 1), call('b', 1), call('c', 2), text('\n\nIt is 42.')];
    expect(toModelMessages(history(parts), true)).toEqual([
      asked,
      { role: 'assistant', content: [{ type: 'text', text: 'I look.' }, use('a', 1), use('b', 1)] },
      { role: 'user', content: [result('a'), result('b')] },
      { role: 'assistant', content: [use('c', 2)] },
      { role: 'user', content: [result('c')] },
      { role: 'assistant', content: [{ type: 'text', text: '\n\nIt is 42.' }] },
      next,
    ]);
  });

  it('that ended with its calls has words behind their results: the user’s would make the model end its turn', () => {
    const messages = toModelMessages(history([call('a', 1, '', true)]), true);
    expect(messages.slice(-3)).toEqual([
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', is_error: true }] },
      { role: 'assistant', content: [{ type: 'text', text: expect.stringContaining('stopped') }] },
      next,
    ]);
  });

  it('is its text alone in a request without tools', () => {
    expect(toModelMessages(history([call('a', 1), text('text')]))).toEqual([
      asked,
      { role: 'assistant', content: 'text' },
      next,
    ]);
  });

  it('follows another reply in the same message, if its question was left out', () => {
    const before = { seq: 3, role: 'assistant' as const, content: 'first' };
    const [, reply, results] = toModelMessages(history([call('a', 1), text('done')], before), true);
    expect(reply).toEqual({ role: 'assistant', content: [{ type: 'text', text: 'first' }, use('a', 1)] });
    expect(results).toEqual({ role: 'user', content: [result('a')] });
  });
});

describe('the finished steps of a turn', () => {
  it('are sent with the blocks as they came, and the results in a message of the user', () => {
    const thinking = { type: 'thinking', thinking: '', signature: 's' };
    const first = { content: [thinking, { type: 'tool_use', id: 't1', name: 'find', input: {} }] };
    const calls = [
      {
        id: 'x',
        providerId: 't1',
        name: 'find',
        input: {},
        status: 'failed' as const,
        attempt: 1,
        result: 'no',
        isError: true,
      },
    ];
    expect(
      toStepMessages([
        { ...first, calls },
        { content: [{ type: 'text', text: 'on' }], calls: null },
        { content: [{ type: 'text', text: ' and on' }], calls: null },
      ]),
    ).toEqual([
      { role: 'assistant', content: first.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'no', is_error: true }] },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'on' },
          { type: 'text', text: ' and on' },
        ],
      },
    ]);
  });
});
