import { describe, expect, it } from '@jest/globals';
import type { HistoryRow } from '#jobs/history.js';
import type { FinishedStep, StepCall } from '#jobs/steps.js';
import { markOf, withMarks } from './cache-marks.js';
import { toModelMessages } from './prompt.js';

type Block = Readonly<Record<string, unknown>>;

const user = (content: string) => ({ role: 'user' as const, content });
const assistant = (content: string) => ({ role: 'assistant' as const, content });
const history = (...rows: readonly Omit<HistoryRow, 'seq'>[]): HistoryRow[] =>
  rows.map((row, n) => ({ ...row, seq: n + 2 })).reverse();
const replied = (calls: number): Omit<HistoryRow, 'seq'> => ({
  role: 'assistant',
  content: 'Done.',
  parts: [
    ...Array.from({ length: calls }, (_, n) => ({
      type: 'tool_call' as const,
      tool_call: { id: `ours ${n}`, step: 1, name: 'find', input: { n }, result: `found ${n}`, is_error: false },
    })),
    { type: 'text' as const, text: 'Done.' },
  ],
});
const step = (name: string, calls = 1, ...content: readonly Block[]): FinishedStep => ({
  content: [
    ...content,
    ...Array.from({ length: calls }, (_, n) => ({ type: 'tool_use', id: `${name} ${n}`, name: 'find', input: {} })),
  ],
  stopReason: 'tool_use',
  text: '',
  otherParts: null,
  calls: Array.from({ length: calls }, (_, n) => ({ ...CALL, id: `ours ${n}`, providerId: `${name} ${n}` })),
});
const CALL: StepCall = {
  id: '',
  providerId: '',
  name: 'find',
  input: {},
  status: 'succeeded',
  attempt: 1,
  result: 'found',
  isError: false,
};
const paused = (...content: readonly Block[]): FinishedStep => ({
  content,
  stopReason: 'pause_turn',
  text: '',
  otherParts: null,
  calls: null,
});

/** All blocks of the messages of a request, each with its role. */
const blocksOf = (rows: readonly HistoryRow[], steps: readonly FinishedStep[] = [], ttl: '5m' | '1h' = '5m'): Block[] =>
  withMarks(toModelMessages(rows, true), steps, markOf(ttl)).flatMap(({ role, content }) =>
    (typeof content === 'string' ? [{ type: 'text', text: content }] : content).map((block) => ({ role, ...block })),
  );
/** The marked blocks: their text, or their call. */
const marked = (blocks: readonly Block[]): unknown[] =>
  blocks.filter((block) => 'cache_control' in block).map(({ text, id, tool_use_id }) => text ?? id ?? tool_use_id);
const bare = (blocks: readonly Block[]): string[] =>
  blocks.map(({ cache_control: _, ...block }) => JSON.stringify(block));

describe('the marks of a prompt', () => {
  it('stand on its last block, and on the question of the turn before', () => {
    expect(marked(blocksOf(history(user('one'))))).toEqual(['one']);
    expect(marked(blocksOf(history(user('one'), assistant('1'), user('two'))))).toEqual(['one', 'two']);
    expect(marked(blocksOf(history(user('one'), assistant('1'), user('two'), assistant('2'), user('three'))))).toEqual([
      'two',
      'three',
    ]);
  });

  it('stand on the question of the turn before, however many calls its reply had', () => {
    const blocks = blocksOf(history(user('one'), replied(16), user('two')));
    expect(blocks).toHaveLength(1 + 16 + 16 + 1 + 1);
    expect(marked(blocks)).toEqual(['one', 'two']);
  });

  it('stand on the last of several messages in a row, each a block of its own', () => {
    const rows = history(user('one'), assistant('1'), user('two'), user('three'));
    expect(bare(blocksOf(rows)).slice(0, 3)).toEqual(bare(blocksOf(rows.slice(1))));
    expect(marked(blocksOf(rows))).toEqual(['one', 'three']);
  });

  it('stand in later steps on the question, on the end of the step before, and on the last block', () => {
    const rows = history(user('one'), assistant('1'), user('two'));
    expect(marked(blocksOf(rows, [step('a')]))).toEqual(['two', 'a 0']);
    expect(marked(blocksOf(rows, [step('a'), step('b', 16)]))).toEqual(['two', 'a 0', 'b 15']);
    expect(marked(blocksOf(rows, [step('a'), step('b', 16), step('c', 2)]))).toEqual(['two', 'b 15', 'c 1']);
  });

  it('never stand on a thought or on blank text, but on the block before', () => {
    const search = { type: 'server_tool_use', id: 's', name: 'web_search', input: {} };
    const thought = { type: 'thinking', thinking: '', signature: 'x' };
    const rows = history(user('one'));
    const first = paused({ type: 'text', text: 'I look.' }, search, thought);
    expect(marked(blocksOf(rows, [first]))).toEqual(['one', 's']);
    expect(marked(blocksOf(rows, [paused(thought)]))).toEqual(['one']);
    const found = { type: 'web_search_tool_result', tool_use_id: 's', content: [] };
    const second = paused(found, { type: 'text', text: '\n' }, { type: 'redacted_thinking', data: 'x' });
    expect(
      blocksOf(rows, [first, second]).map(({ type, cache_control: mark }) => `${String(type)}${mark ? ' *' : ''}`),
    ).toEqual([
      'text *',
      'text',
      'server_tool_use *',
      'thinking',
      'web_search_tool_result *',
      'text',
      'redacted_thinking',
    ]);
  });

  it('last equally long', () => {
    const marks = (ttl: '5m' | '1h') =>
      new Set(
        blocksOf(history(user('one')), [step('a'), step('b')], ttl).flatMap(({ cache_control: mark }) => mark ?? []),
      );
    expect([...marks('5m')]).toEqual([{ type: 'ephemeral' }]);
    expect([...marks('1h')]).toEqual([{ type: 'ephemeral', ttl: '1h' }]);
  });

  it('leave history and steps as they are: texts without a mark stay texts', () => {
    const rows = history(user('one'), assistant('1'), user('two'), assistant('2'), user('three'));
    const steps = [step('a')];
    const before = JSON.stringify([rows, steps]);
    const messages = withMarks(toModelMessages(rows, true), steps, markOf('5m'));
    expect(JSON.stringify([rows, steps])).toBe(before);
    expect(messages.map(({ content }) => typeof content)).toEqual([
      'string',
      'string',
      'string',
      'string',
      'object',
      'object',
      'object',
    ]);
  });
});

describe('the requests of a chat', () => {
  it('each begin with the one before, within a turn; the next turn begins with all up to the question', () => {
    const rows: Omit<HistoryRow, 'seq'>[] = [];
    let asked: string[] = [];
    for (let turn = 1; turn <= 6; turn++) {
      if (turn === 4) rows.push(user('stored without a reply'));
      rows.push(user(`question ${turn}`));
      const steps: FinishedStep[] = [];
      let before = asked;
      for (let n = 0; n <= turn % 4; n++) {
        const blocks = blocksOf(history(...rows), steps);
        expect(bare(blocks).slice(0, before.length)).toEqual(before);
        expect(marked(blocks).length).toBeLessThanOrEqual(3);
        before = bare(blocks);
        if (n === 0) asked = before;
        steps.push(
          step(`turn ${turn} step ${n}`, n + 1, { type: 'thinking', thinking: '', signature: `${turn} ${n}` }),
        );
      }
      // The reply of turn 3 failed.
      if (turn !== 3) rows.push(turn % 4 === 0 ? assistant(`answer ${turn}`) : replied(turn));
    }
  });
});
