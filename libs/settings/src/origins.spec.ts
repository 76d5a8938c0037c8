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
    ...[
      'capacitor://localhost',
      'ionic://localhost',
      'tauri://localhost',
      'http://tauri.localhost',
      'chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh',
      'moz-extension://6b2f8c4e-90a1-4c1a-9d7e-2f1d5a7b8c90',
      'safari-web-extension://6B2F8C4E-90A1-4C1A-9D7E-2F1D5A7B8C90',
      'app+x.y-z://host:8080',
    ].map((origin): [string, string[]] => [origin, [origin]]),
  ])('is a list: %s', (text, origins) => {
    expect(read(text)).toEqual({ origins, faults: [] });
  });

  it.each(['*', 'https://*.example.com', '*.example.com'])('lets nobody in who is not named: %s', (text) => {
    expect(read(text).faults).toEqual([expect.stringMatching(/^CORS_ORIGINS: .*name each origin/)]);
  });

  it.each([
    ['https://app.example.com/', 'https://app.example.com'],
    ['https://app.example.com/app?x#y', 'https://app.example.com'],
    ['HTTPS://App.Example.com', 'https://app.example.com'],
    ['https://app.example.com:443', 'https://app.example.com'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
    ['http://0x7f.1', 'http://127.0.0.1'],
    ['capacitor://localhost/', 'capacitor://localhost'],
    ['Capacitor://localhost', 'capacitor://localhost'],
    ['chrome-extension://abc/index.html', 'chrome-extension://abc'],
  ])('is compared as it is, so %s is a fault that says what to write', (text, right) => {
    expect(read(text).faults).toEqual([expect.stringContaining(`write ${right}.`)]);
  });

  it.each([
    'app.example.com',
    'localhost:5173',
    'https://',
    'capacitor://',
    'capacitor:localhost',
    'capacitor:/localhost',
    'ws://app.example.com',
    'data:hush',
    'blob:https://app.example.com/hush',
    'javascript://hush',
    'app://a%20hush',
    'app://ana:hush@localhost',
    'https://ana:hush@app.example.com',
    'https:// a',
  ])('refuses %s, and does not repeat it', (text) => {
    const { faults } = read(text);
    expect(faults).toEqual([expect.stringContaining('are written like')]);
    expect(faults[0]).not.toContain('hush');
  });

  it.each(['null', 'NULL', 'file://', 'file:///app'])('refuses what anybody may send: %s', (text) => {
    expect(read(text).faults).toEqual([expect.stringContaining('any sandboxed frame')]);
  });
});
