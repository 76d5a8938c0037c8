import { describe, expect, it } from '@jest/globals';
import { offeredName } from './offered-name.js';

describe('the name of a server’s tool for the model', () => {
  it.each([
    ['wiki', 'search', 'wiki_search'],
    ['wiki', 'pages.read/all', 'wiki_pages_read_all'],
    ['wiki', 'suche_ä', 'wiki_suche__'],
    ['w-1', 'a'.repeat(60), `w-1_${'a'.repeat(60)}`],
  ])('has only letters that the Messages API accepts: %s, %s', (server, tool, name) => {
    expect(offeredName(server, tool)).toBe(name);
  });

  it('is cut at 64 characters, and stays unique and the same', () => {
    const names = ['x', 'y'].map((end) => offeredName('wiki', 'a'.repeat(80) + end));
    for (const name of names) expect(name).toMatch(/^wiki_a{50}_[0-9a-f]{8}$/);
    expect(new Set(names).size).toBe(2);
    expect(offeredName('wiki', `${'a'.repeat(80)}x`)).toBe(names[0]);
  });
});
