import { describe, expect, it } from '@jest/globals';
import { readModelAddress } from './model-address.js';

const read = (text: string | undefined): { address: string | undefined; faults: string[] } => {
  const faults: string[] = [];
  return { address: readModelAddress(text, faults), faults };
};

describe('ANTHROPIC_BASE_URL', () => {
  it.each([
    [undefined, undefined],
    [' ', undefined],
    ['https://api.anthropic.com', 'https://api.anthropic.com'],
    ['https://api.anthropic.com/', 'https://api.anthropic.com'],
    ['https://api.anthropic.com//', 'https://api.anthropic.com'],
    ['  https://api.anthropic.com/v1 ', 'https://api.anthropic.com'],
    ['https://api.anthropic.com/v1/', 'https://api.anthropic.com'],
    ['https://api.anthropic.com/v1/messages', 'https://api.anthropic.com'],
    ['https://api.anthropic.com/v1/messages//', 'https://api.anthropic.com'],
    ['HTTPS://API.Anthropic.com:443/v1', 'https://api.anthropic.com'],
    ['https://gw.example/anthropic', 'https://gw.example/anthropic'],
    ['https://gw.example/anthropic/v1/messages/', 'https://gw.example/anthropic'],
    ['https://gw.example/v1/account/anthropic', 'https://gw.example/v1/account/anthropic'],
    ['https://gw.example/my-v1', 'https://gw.example/my-v1'],
    ['http://10.0.0.7:8000/v1', 'http://10.0.0.7:8000'],
  ])('is what calls are made below, however it is written: %s', (text, address) => {
    expect(read(text)).toEqual({ address, faults: [] });
  });

  it.each([
    ['api.anthropic.com', 'https://api.anthropic.com'],
    ['gw.example:8443/anthropic/v1', 'https://gw.example:8443/anthropic'],
    ['localhost', 'http://localhost'],
    ['localhost:4000/', 'http://localhost:4000'],
    ['LOCALHOST:443', 'http://localhost:443'],
    ['model.localhost:4000', 'http://model.localhost:4000'],
    ['127.0.0.1:11434/v1', 'http://127.0.0.1:11434'],
    ['[::1]:11434', 'http://[::1]:11434'],
  ])('needs no scheme: %s is http on this machine, and https elsewhere', (text, address) => {
    expect(read(text)).toEqual({ address, faults: [] });
  });

  it.each([
    'ftp://host',
    'unix:/run/model.sock',
    'http:/host',
    'mailto:a@host',
    'https://',
    'https://a b',
    'host:hush',
    'ana:1@host',
    'hush:word@host',
    '//host',
    '/v1/messages',
    'https://host:99999',
  ])('refuses %s by name, and does not repeat it', (text) => {
    const { address, faults } = read(text);
    expect(address).toBeUndefined();
    expect(faults).toEqual(['ANTHROPIC_BASE_URL must be an address that begins with http:// or https://.']);
  });

  it.each(['https://ana:hush@host', 'https://hush@host/v1', 'https://:hush@host', 'hush@host'])(
    'refuses a user and a password, and does not repeat them: %s',
    (text) => {
      const { faults } = read(text);
      expect(faults).toEqual([expect.stringMatching(/^ANTHROPIC_BASE_URL .*ANTHROPIC_API_KEY/)]);
      expect(faults[0]).not.toMatch(/hush|ana:/);
    },
  );

  it.each(['https://host?key=hush', 'https://host/v1?', 'https://host/#hush', 'host/v1#'])(
    'refuses what would come behind the path of a call, and does not repeat it: %s',
    (text) => {
      const { faults } = read(text);
      expect(faults).toEqual([expect.stringMatching(/^ANTHROPIC_BASE_URL has a \? or a #/)]);
      expect(faults[0]).not.toContain('hush');
    },
  );
});
