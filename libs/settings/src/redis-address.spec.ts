import { describe, expect, it } from '@jest/globals';
import { parseRedisUrl, type RedisAddress } from './redis-address.js';

const server: RedisAddress = {
  kind: 'server',
  tls: false,
  nodes: [{ host: 'redis', port: 6379 }],
  username: undefined,
  password: undefined,
  db: 0,
};

describe('an address of Redis', () => {
  it.each<[string, Partial<RedisAddress>]>([
    ['redis://redis', {}],
    ['redis://redis/', {}],
    ['rediss://redis', { tls: true }],
    ['redis://redis:6380/2', { nodes: [{ host: 'redis', port: 6380 }], db: 2 }],
    ['redis://[::1]', { nodes: [{ host: '::1', port: 6379 }] }],
    ['redis://[fd00::a]:7000', { nodes: [{ host: 'fd00::a', port: 7000 }] }],
    ['redis://:secret@redis', { password: 'secret' }],
    ['redis://redis:secret@redis', { username: 'redis', password: 'secret' }],
    ['redis://nobody:@redis', { username: 'nobody', password: '' }],
    ['redis://:@redis', {}],
    ['redis://a%40b:%2F%3a%23%C3%A9%25@redis', { username: 'a@b', password: '/:#é%' }],
    // Accepted, as by other programs: the last @ and the first colon count.
    ['redis://u:p@ss:word@redis', { username: 'u', password: 'p@ss:word' }],
  ])('of one server: %s', (url, differs) => {
    expect(parseRedisUrl(url)).toEqual({ ...server, ...differs });
  });

  it.each<[string, Partial<RedisAddress>]>([
    ['redis+cluster://a', { nodes: [{ host: 'a', port: 6379 }] }],
    [
      'redis+cluster://u:p@a:7000,b,[::1]:7002/0',
      {
        nodes: [
          { host: 'a', port: 7000 },
          { host: 'b', port: 6379 },
          { host: '::1', port: 7002 },
        ],
        username: 'u',
        password: 'p',
      },
    ],
    ['rediss+cluster://a', { nodes: [{ host: 'a', port: 6379 }], tls: true }],
  ])('of a Cluster: %s', (url, differs) => {
    expect(parseRedisUrl(url)).toEqual({ ...server, kind: 'cluster', ...differs });
  });

  const sentinel = { primary: 'mymaster', username: undefined, password: undefined };
  it.each<[string, Partial<RedisAddress>]>([
    ['redis+sentinel://a/mymaster', { nodes: [{ host: 'a', port: 26_379 }] }],
    [
      'rediss+sentinel://:p@a,b:1/mymaster/3',
      {
        nodes: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 1 },
        ],
        password: 'p',
        tls: true,
        db: 3,
      },
    ],
    [
      'redis+sentinel://a/my%2Fmaster?sentinel_username=s&sentinel_password=%26',
      {
        nodes: [{ host: 'a', port: 26_379 }],
        sentinel: { primary: 'my/master', username: 's', password: '&' },
      },
    ],
  ])('of Sentinels: %s', (url, differs) => {
    expect(parseRedisUrl(url)).toEqual({ ...server, kind: 'sentinel', sentinel, ...differs });
  });

  it.each([
    ['no scheme', 'redis:6379'],
    ['another scheme', 'http://:hunter2@redis'],
    ['an unknown form', 'redis+socket://:hunter2@redis'],
    ['no host', 'redis://:hunter2@'],
    ['no host but a database', 'redis://:hunter2@/0'],
    ['a host of blanks', 'redis://:hunter2@a b'],
    ['an empty host in a row', 'redis+cluster://:hunter2@a,,b'],
    ['an address of IPv6 without brackets', 'redis://:hunter2@::1'],
    ['several hosts of one server', 'redis://:hunter2@a,b'],
    ['a port out of range', 'redis://:hunter2@redis:65536'],
    ['port zero', 'redis://:hunter2@redis:0'],
    ['a port that is no number', 'redis://:hunter2@redis:http'],
    ['a password that is not encoded, with a slash', 'redis://:hunter2/x@redis'],
    ['a password that is not encoded, with a question mark', 'redis://:hunter2?x@redis'],
    ['a password that is not encoded, with a hash', 'redis://:hunter2#x@redis'],
    ['a password that is not encoded, with a per cent sign', 'redis://:hunter2%@redis'],
    ['a user without a password', 'redis://hunter2@redis'],
    ['a database that is no number', 'redis://:hunter2@redis/one'],
    ['a database below zero', 'redis://:hunter2@redis/-1'],
    ['more than a database', 'redis://:hunter2@redis/1/2'],
    ['a database of a Cluster', 'redis+cluster://:hunter2@redis/1'],
    ['Sentinels without a name', 'redis+sentinel://:hunter2@a,b'],
    ['Sentinels with an empty name', 'redis+sentinel://:hunter2@a,b//1'],
    ['more than a name and a database', 'redis+sentinel://:hunter2@a/m/1/2'],
    ['a parameter nobody knows', 'redis://:hunter2@redis?family=6'],
    ["a Sentinels' parameter of one server", 'redis://redis?sentinel_password=hunter2'],
    ['a parameter without a value', 'redis+sentinel://:hunter2@a/m?sentinel_password'],
  ])('with %s is refused by name, and not repeated', (_what, url) => {
    expect(() => parseRedisUrl(url)).toThrow(/^REDIS_URL /);
    expect(() => parseRedisUrl(url)).not.toThrow(/hunter2|a b|x@/);
  });
});
