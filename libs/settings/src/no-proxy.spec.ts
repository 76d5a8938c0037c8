import { describe, expect, it } from '@jest/globals';
import { isExempt } from './no-proxy.js';

const exempt = (noProxy: string, address: string): boolean => {
  const { hostname, port, protocol } = new URL(address);
  return isExempt(noProxy, hostname, Number(port) || (protocol === 'https:' ? 443 : 80));
};

describe('NO_PROXY', () => {
  it.each([
    ['*', 'https://any.example'],
    ['localhost, *', 'https://any.example'],
    ['localhost,127.0.0.1', 'http://localhost:4000'],
    ['localhost,127.0.0.1', 'http://127.0.0.1:4000'],
    ['localhost 127.0.0.1', 'http://127.0.0.1:4000'],
    ['gw.example', 'https://gw.example'],
    ['GW.Example.', 'https://gw.example'],
    ['gw.example', 'https://eu.gw.example'],
    ['.gw.example', 'https://eu.gw.example'],
    ['.gw.example', 'https://gw.example'],
    ['*.gw.example', 'https://eu.gw.example'],
    ['gw.example:443', 'https://gw.example'],
    ['gw.example:8443', 'https://gw.example:8443'],
    ['gw.example:80', 'http://eu.gw.example'],
    ['10.0.0.0/8', 'http://10.20.30.40:8000'],
    ['fd00::/8', 'http://[fd12::1]:8000'],
    ['::1', 'http://[::1]:8000'],
    ['[0:0::1]', 'http://[::1]:8000'],
    ['[fd12::1]:8000', 'http://[fd12::1]:8000'],
  ])('"%s" exempts %s', (noProxy, address) => {
    expect(exempt(noProxy, address)).toBe(true);
  });

  it.each([
    ['', 'https://gw.example'],
    [',, ', 'https://gw.example'],
    ['localhost,127.0.0.1', 'https://gw.example'],
    ['gw.example', 'https://mygw.example'],
    ['gw.example', 'https://gw.example.org'],
    ['eu.gw.example', 'https://gw.example'],
    ['gw.example:8443', 'https://gw.example'],
    ['.', 'https://gw.example'],
    ['.0.0.1', 'http://10.0.0.1'],
    ['0.1', 'http://10.0.0.1'],
    ['10.0.0.0/8', 'http://11.0.0.1'],
    ['10.0.0.0/8', 'https://gw.example'],
    ['10.0.0.0/99', 'http://10.0.0.1'],
    ['gw.example/8', 'https://gw.example'],
    ['::/0', 'http://10.0.0.1'],
    ['http://gw.example', 'https://gw.example'],
  ])('"%s" does not exempt %s', (noProxy, address) => {
    expect(exempt(noProxy, address)).toBe(false);
  });
});
