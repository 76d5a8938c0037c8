import { describe, expect, it } from '@jest/globals';
import { resultText } from './result-text.js';

const of = (content: unknown[], structured?: unknown) => resultText({ content, structured });
const bytes = (count: number) => Buffer.alloc(count).toString('base64');

describe('the text of a result', () => {
  it('has blocks of text and embedded text as they are, in their order', () => {
    const resource = { type: 'resource', resource: { uri: 'file:///a', mimeType: 'text/plain', text: 'embedded\n' } };
    expect(of([{ type: 'text', text: 'one' }, resource, { type: 'text', text: '' }])).toBe('one\nembedded\n\n');
  });

  it.each([
    [{ type: 'resource_link', uri: 'https://a.example/', title: 'A', name: 'a' }, 'A: https://a.example/'],
    [{ type: 'resource_link', uri: 'https://a.example/', name: 'a' }, 'a: https://a.example/'],
    [{ type: 'resource_link', uri: 'https://a.example/\nx', title: 'two\nlines' }, 'two lines: https://a.example/ x'],
    [{ type: 'image', mimeType: 'image/png', data: bytes(12_000) }, '[image/png, 12 kB, left out]'],
    [{ type: 'audio', mimeType: 'audio/wav', data: bytes(30) }, '[audio/wav, 30 bytes, left out]'],
    [{ type: 'resource', resource: { blob: bytes(3_000_000) } }, '[resource, 3.0 MB, left out]'],
    [{ type: 'resource', resource: { mimeType: 'a/b', blob: bytes(3) } }, '[a/b, 3 bytes, left out]'],
    [{ type: 'hologram' }, '[hologram, left out]'],
    [{ type: 'text', text: 7 }, '[text, left out]'],
    [{ type: 'x'.repeat(500) }, `[${'x'.repeat(100)}, left out]`],
    [null, '[unknown content, left out]'],
    ['text', '[unknown content, left out]'],
  ])('names what is no text in a line: %j', (block, line) => {
    expect(of([block])).toBe(line);
  });

  it('is the structured result if there is no other text', () => {
    expect(of([], { a: 1 })).toBe('{"a":1}');
    expect(of([{ type: 'image', mimeType: 'image/png', data: '' }], [1])).toBe('[image/png, 0 bytes, left out]\n[1]');
    expect(of([{ type: 'text', text: 'one' }], { a: 1 })).toBe('one');
    expect(of([])).toBe('');
  });

  it('bears a structured result of any depth', () => {
    let deep: unknown = 1;
    for (let n = 0; n < 100_000; n++) deep = [deep];
    expect(of([], deep)).toBe('[structured result, too deep, left out]');
  });
});
