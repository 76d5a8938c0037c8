import { describe, expect, it } from '@jest/globals';
import { LARGEST_SCHEMA, LONGEST_DESCRIPTION, MOST_TOOLS, siftTools } from './sift-tools.js';

const SCHEMA = { type: 'object' };
const tool = (name: string, more: object = {}) => ({ name, description: '', inputSchema: SCHEMA, ...more });
const nested = (levels: number): object => (levels === 1 ? {} : { properties: nested(levels - 1) });

describe('the tools of a listing', () => {
  it('come in the order of their names, whatever the server’s order, with the three fields that are used', () => {
    const listing = siftTools([tool('b', { annotations: {}, title: 'B' }), tool('B'), tool('a')]);
    expect(siftTools([tool('a'), tool('b'), tool('B')])).toEqual(listing);
    expect(listing).toEqual({ tools: ['B', 'a', 'b'].map((name) => tool(name)), leftOut: [] });
  });

  it('are those that are wanted, and each wanted one that the server lacks is named', () => {
    const raw = [tool('a'), tool('b'), { name: 'c' }, { name: 7 }];
    expect(siftTools(raw, ['b', 'd', 'B'])).toEqual({
      tools: [tool('b')],
      leftOut: ['B', 'd'].map((name) => ({ name, reason: 'the server has no such tool' })),
    });
    expect(siftTools(raw, ['c']).leftOut).toEqual([{ name: 'c', reason: 'the type of its input is not object' }]);
  });

  it.each([
    ['no schema', { inputSchema: undefined }, 'the type of its input is not object'],
    ['a list', { inputSchema: { type: 'array' } }, 'the type of its input is not object'],
    ['several types', { inputSchema: { type: ['object'] } }, 'the type of its input is not object'],
    [
      'a large schema',
      { inputSchema: { ...SCHEMA, title: 'x'.repeat(LARGEST_SCHEMA) } },
      'its schema is larger than 65536 bytes',
    ],
    ['a deep schema', { inputSchema: { ...SCHEMA, not: nested(32) } }, 'its schema has more than 32 levels'],
    ['a very deep schema', { inputSchema: { ...SCHEMA, not: nested(5_000) } }, 'its schema has more than 32 levels'],
    ['U+0000', { inputSchema: { ...SCHEMA, title: 'a\0' } }, 'its schema has characters that cannot be stored'],
    ['half a pair', { inputSchema: { ...SCHEMA, title: '\ud83d' } }, 'its schema has characters that cannot be stored'],
    ['tasks only', { execution: { taskSupport: 'required' } }, 'it runs only as a task, which is not offered here'],
  ])('are left out with a reason: %s', (_, more, reason) => {
    expect(siftTools([tool('a', more), tool('b')])).toEqual({ tools: [tool('b')], leftOut: [{ name: 'a', reason }] });
  });

  it('may be at the bounds', () => {
    const room = LARGEST_SCHEMA - JSON.stringify({ ...SCHEMA, title: '' }).length;
    const large = tool('a', { inputSchema: { ...SCHEMA, title: 'x'.repeat(room) } });
    const deep = tool('b', { inputSchema: { ...SCHEMA, not: nested(31) }, execution: { taskSupport: 'optional' } });
    expect(siftTools([large, deep]).leftOut).toEqual([]);
  });

  it.each([
    [null],
    ['text'],
    [{}],
    [{ name: '' }],
    [{ name: 'a'.repeat(129) }],
    [{ name: 'a\nb' }],
    [{ name: '\ud83d' }],
  ])('are left out without a usable name: %j', (raw) => {
    expect(siftTools([raw])).toEqual({ tools: [], leftOut: [{ name: '?', reason: 'it has no usable name' }] });
  });

  it('are no more than 200, the first by name', () => {
    const raw = Array.from({ length: MOST_TOOLS + 2 }, (_, n) => tool(`t${String(999 - n)}`));
    const { tools, leftOut } = siftTools(raw);
    expect([tools.length, tools[0]?.name, leftOut.map(({ name }) => name)]).toEqual([200, 't798', ['t998', 't999']]);
  });

  it('are reported within bounds when they are left out', () => {
    expect(siftTools(Array<object>(1_000).fill({})).leftOut.length).toBe(MOST_TOOLS);
  });

  it('are listed once', () => {
    const { tools, leftOut } = siftTools([tool('a', { description: 'first' }), tool('a')]);
    expect([tools, leftOut]).toEqual([
      [tool('a', { description: 'first' })],
      [{ name: 'a', reason: 'the server lists it twice' }],
    ]);
  });

  it('have a description that can be stored, cut between characters', () => {
    const described = (description: unknown) => siftTools([tool('a', { description })]).tools[0]?.description;
    expect(described(7)).toBe('');
    expect(described('a\0b\ud83d')).toBe('ab\ufffd');
    expect(described('x'.repeat(5_000))).toBe('x'.repeat(LONGEST_DESCRIPTION));
    expect(described(`${'x'.repeat(LONGEST_DESCRIPTION - 1)}😀`)).toBe(`${'x'.repeat(LONGEST_DESCRIPTION - 1)}\ufffd`);
  });
});
