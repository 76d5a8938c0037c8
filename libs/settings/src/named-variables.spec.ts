import { describe, expect, it } from '@jest/globals';
import { resolveHeader, resolveUrl, VariableFault } from './named-variables.js';

const faultOf = (run: () => unknown): VariableFault => {
  try {
    run();
  } catch (error) {
    if (error instanceof VariableFault) return error;
  }
  throw new Error('There was no fault.');
};

describe('a header of a tool', () => {
  it.each([
    ['env:KEY', 'Bearer hush'],
    ['plain', 'plain'],
    ['env:', 'env:'],
    ['env:two words', 'env:two words'],
    ['see env:KEY', 'see env:KEY'],
  ])('%s stands for %s', (value, resolved) => {
    expect(resolveHeader(value, { KEY: ' Bearer hush\n' })).toBe(resolved);
  });

  it.each([
    ['is not set', {}],
    ['is not set', { KEY: '  ' }],
    ['holds characters that no header can carry', { KEY: 'hush\r\nx: y' }],
    ['holds characters that no header can carry', { KEY: '“hush”' }],
  ])('whose variable %s is a fault with its name and without its value', (words, env) => {
    const fault = faultOf(() => resolveHeader('env:KEY', env));
    expect([fault.variable, fault.message]).toEqual(['KEY', `KEY ${words}.`]);
  });
});

describe('the address of a tool', () => {
  it.each([
    ['https://tools.example/find', 'https://tools.example/find'],
    ['env:TOOLS', 'http://10.0.0.1:4010/'],
    ['env:TOOLS/find', 'http://10.0.0.1:4010/find'],
    ['env:BELOW/find?all=1', 'https://tools.example/v1/find?all=1'],
  ])('%s is %s', (url, resolved) => {
    const env = { TOOLS: 'http://10.0.0.1:4010', BELOW: ' https://tools.example/v1/ ' };
    expect(resolveUrl(url, env).href).toBe(resolved);
  });

  it.each([
    ['is not set', {}],
    ['is not set', { TOOLS: '' }],
    ['must be an address that begins with https:// or http://', { TOOLS: 'hush.example' }],
    ['must be an address that begins with https:// or http://', { TOOLS: 'file:///hush' }],
    ['must have no user and no password in it', { TOOLS: 'https://a:hush@tools.example' }],
    ['must have no ? and no # in it', { TOOLS: 'https://tools.example?key=hush' }],
  ])('whose variable %s is a fault with its name and without its value', (words, env) => {
    const fault = faultOf(() => resolveUrl('env:TOOLS/find', env));
    expect([fault.variable, fault.message]).toEqual(['TOOLS', `TOOLS ${words}.`]);
  });

  it.each([
    'env:TOOLS.evil.example/find',
    'env:/find',
    'env:TWO WORDS/find',
    'file:///etc/passwd',
    'tools.example',
    '',
  ])('must be of HTTP, or below a variable: "%s" is not', (url) => {
    expect(() => resolveUrl(url, { TOOLS: 'https://tools.example' })).toThrow(TypeError);
  });

  it('does not leave the server of its variable', () => {
    expect(resolveUrl('env:TOOLS//evil.example', { TOOLS: 'https://tools.example' }).host).toBe('tools.example');
  });
});
