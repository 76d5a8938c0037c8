import { describe, expect, it } from '@jest/globals';
import {
  type CredentialsProxy,
  type ModelProxy,
  proxyOnTheWay,
  readCredentialsProxy,
  readModelProxy,
} from './model-proxy.js';

const SECURE = 'https://gw.example';
const PLAIN = 'http://gw.example:8000';

const read = (address: string, env: Record<string, string>): { proxy: ModelProxy | undefined; faults: string[] } => {
  const faults: string[] = [];
  return { proxy: readModelProxy(address, (name) => env[name], faults), faults };
};

describe('the proxy on the way to the model', () => {
  const both = { HTTPS_PROXY: 'http://secure:3128', HTTP_PROXY: 'http://plain:3128' };

  it('is HTTPS_PROXY for an address of https, and HTTP_PROXY for one of http', () => {
    expect(read(SECURE, both).proxy).toEqual({ name: 'HTTPS_PROXY', url: 'http://secure:3128' });
    expect(read(PLAIN, both).proxy).toEqual({ name: 'HTTP_PROXY', url: 'http://plain:3128' });
    expect(read(SECURE, { HTTP_PROXY: 'http://plain:3128' }).proxy).toBeUndefined();
    expect(read(PLAIN, { HTTPS_PROXY: 'http://secure:3128' }).proxy).toBeUndefined();
    expect(read(SECURE, {}).proxy).toBeUndefined();
  });

  it('may be named in small letters, which come first', () => {
    expect(read(SECURE, { https_proxy: 'http://small:1' }).proxy).toEqual({
      name: 'https_proxy',
      url: 'http://small:1',
    });
    expect(read(SECURE, { ...both, https_proxy: 'http://small:1' }).proxy?.name).toBe('https_proxy');
    expect(read(PLAIN, { ...both, http_proxy: 'http://small:1' }).proxy?.name).toBe('http_proxy');
    expect(read(SECURE, { ...both, NO_PROXY: 'gw.example' }).proxy).toBeUndefined();
    expect(read(SECURE, { ...both, no_proxy: 'gw.example', NO_PROXY: 'other' }).proxy).toBeUndefined();
    expect(read(SECURE, { ...both, no_proxy: 'other', NO_PROXY: 'gw.example' }).proxy?.name).toBe('HTTPS_PROXY');
  });

  it.each([
    'http://localhost:4000',
    'http://127.0.0.1:4000',
    'http://localhost.',
    'http://127.8.8.8',
    'https://[::1]',
    'http://a.localhost',
  ])('is not there for a model on this machine: %s', (address) => {
    expect(read(address, both).proxy).toBeUndefined();
  });

  it.each([
    ['proxy.example:3128', 'http://proxy.example:3128'],
    ['proxy.example', 'http://proxy.example'],
    ['http://proxy.example:3128/', 'http://proxy.example:3128/'],
    ['https://ana:hush%40@proxy.example', 'https://ana:hush%40@proxy.example'],
  ])('is an address: %s', (value, url) => {
    expect(read(SECURE, { HTTPS_PROXY: value })).toEqual({ proxy: { name: 'HTTPS_PROXY', url }, faults: [] });
  });

  it.each([
    'socks5://ana:hush@proxy',
    'http://',
    'http://ana:hu/sh@proxy',
    'http://proxy:hush',
    'http://proxy/hush',
    'http://proxy?hush',
    'http://hush@proxy',
    'http://:hush@proxy',
    'http://ana:hush%zz@proxy',
  ])('is refused by name where it is malformed, and not repeated: %s', (value) => {
    const { proxy, faults } = read(SECURE, { HTTPS_PROXY: value });
    expect(proxy).toBeUndefined();
    expect(faults).toEqual([expect.stringMatching(/^HTTPS_PROXY (must|has)/)]);
    expect(faults[0]).not.toMatch(/hu.?sh|ana/);
  });

  it('is not looked at where it is not on the way', () => {
    expect(read(PLAIN, { HTTPS_PROXY: '???' }).faults).toEqual([]);
    expect(read(SECURE, { HTTPS_PROXY: '???', NO_PROXY: '*' }).faults).toEqual([]);
  });
});

describe('the proxy on the way to servers with credentials', () => {
  const readIt = (env: Record<string, string>) => {
    const faults: string[] = [];
    return { proxy: readCredentialsProxy((name) => env[name], faults), faults };
  };

  it('is HTTPS_PROXY, and only for servers of https elsewhere that NO_PROXY does not name', () => {
    const { proxy } = readIt({
      HTTPS_PROXY: 'secure:3128',
      HTTP_PROXY: 'http://plain:3128',
      NO_PROXY: '.eu-west-1.amazonaws.com',
    });
    const through = proxy as CredentialsProxy;
    const onTheWay = (address: string): boolean => proxyOnTheWay(through, address) !== undefined;
    expect(proxyOnTheWay(through, 'https://oauth2.googleapis.com/token')).toEqual({
      name: 'HTTPS_PROXY',
      url: 'http://secure:3128',
    });
    expect(onTheWay('https://sts.amazonaws.com/')).toBe(true);
    expect(onTheWay('https://sts.eu-west-1.amazonaws.com/')).toBe(false);
    expect(onTheWay('http://169.254.169.254/computeMetadata/v1/')).toBe(false);
    expect(onTheWay('http://metadata.google.internal./')).toBe(false);
    expect(onTheWay('https://localhost:8443/')).toBe(false);
    expect(readIt({ HTTP_PROXY: 'http://plain:3128' }).proxy).toBeUndefined();
  });

  it('is refused by name, once', () => {
    expect(readIt({ https_proxy: 'socks5://qpxz' })).toEqual({
      proxy: undefined,
      faults: [expect.stringMatching(/^https_proxy must look like(?!.*qpxz)/)],
    });
    const faults: string[] = [];
    const text = (name: string): string | undefined => (name === 'HTTPS_PROXY' ? 'socks5://qpxz' : undefined);
    readModelProxy(SECURE, text, faults);
    readCredentialsProxy(text, faults);
    expect(faults).toHaveLength(1);
  });
});
