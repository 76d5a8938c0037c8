import { describe, expect, it } from '@jest/globals';
import { boundedResult } from './tool-result.js';

describe('the result of a tool', () => {
  it('is the text itself where it fits', () => {
    expect(boundedResult('größer', false, 8)).toEqual({ content: 'größer', isError: false });
  });

  it('has neither NUL nor half characters', () => {
    expect(boundedResult('a\0b\ud800c', true, 100)).toEqual({ content: 'ab\ufffdc', isError: true });
  });

  it('says in its last line that it was cut, and how long it was', () => {
    const { content } = boundedResult('x'.repeat(1_000), false, 100);
    expect(content).toBe(`${'x'.repeat(53)}\n[This result was cut: it was 1000 bytes long.]`);
    expect(Buffer.byteLength(content)).toBeLessThanOrEqual(100);
    expect(boundedResult('x'.repeat(400), false, 100, true).content).toMatch(/\n\[.* more than 400 bytes long\.\]$/);
  });

  it.each([100, 101, 102, 103])('is cut after a whole character, within %i bytes', (most) => {
    for (const character of ['é', '€', '😀', 'e\u0301']) {
      const { content } = boundedResult(character.repeat(200), false, most);
      const [text = ''] = content.split('\n');
      expect(Buffer.byteLength(content)).toBeLessThanOrEqual(most);
      expect(Buffer.byteLength(content)).toBeGreaterThan(most - 4);
      expect(`${character.repeat(200)}`.startsWith(text)).toBe(true);
      expect(content).not.toContain('\ufffd');
    }
  });

  it('stays within a bound that has no room for that line', () => {
    expect(boundedResult('x'.repeat(100), false, 10).content).toHaveLength(10);
  });
});
