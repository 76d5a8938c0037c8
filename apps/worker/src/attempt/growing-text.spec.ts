import { describe, expect, it } from '@jest/globals';
import { wholeCharacters } from './growing-text.js';

describe('a growing text', () => {
  it('keeps back half a character until the other half has come', () => {
    const [first = '', second = ''] = ['one 😀 two'.slice(0, 5), 'one 😀 two'.slice(5)];
    expect(wholeCharacters(first)).toBe('one ');
    const rest = first.slice(wholeCharacters(first).length) + second;
    expect(wholeCharacters(first) + wholeCharacters(rest)).toBe('one 😀 two');
    expect(wholeCharacters('plain')).toBe('plain');
  });
});
