import { describe, expect, it } from '@jest/globals';
import { readOrigins } from './origins.js';

const read = (text: string | undefined): { origins: readonly string[]; faults: string[] } => {
  const faults: string[] = [];
  return { origins: readOrigins(text, faults), faults };
};

describe('CORS_ORIGINS', () => {
  it.each([
    [undefined, []],
    [' , ', []],
    ['https://app.example.com', ['https://app.example.com']],
    ['https://a.example, http://localhost:5173,https://a.example', ['https://a.example', 'http://localhost:5173']],
    ['http://[::1]:8080,https://xn--bcher-kva.example', ['http://[::1]:8080', 'https://xn--bcher-kva.example']],
  ])('is a list: %s', (text, origins) => {
    expect(read(text)).toEqual({ origins, faults: [] });
  });

  it.each(['*', 'https://*.example.com', '*.example.com'])('lets nobody in who is not named: %s', (text) => {
    expect(read(text).faults).toEqual([expect.stringMatching(/^CORS_ORIGINS: .*must be named/)]);
  });

  it.each([
    ['https://app.example.com/', 'https://app.example.com'],
    ['https://app.example.com/app?x#y', 'https://app.example.com'],
    ['HTTPS://App.Example.com', 'https://app.example.com'],
    ['https://app.example.com:443', 'https://app.example.com'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
    ['http://0x7f.1', 'http://127.0.0.1'],
  ])('is compared as it is, so %s is a fault that says what to write', (text, right) => {
    expect(read(text).faults).toEqual([expect.stringContaining(`write ${right}.`)]);
  });

  it.each([
    'app.example.com',
    'localhost:5173',
    'null',
    'file:///app',
    'https://',
    'https://ana:hush@app.example.com',
    'https:// a',
  ])('refuses %s, and does not repeat it', (text) => {
    const { faults } = read(text);
    expect(faults).toEqual([expect.stringContaining('are written like')]);
    expect(faults[0]).not.toContain('hush');
  });
});
