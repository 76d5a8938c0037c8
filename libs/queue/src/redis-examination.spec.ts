import { describe, expect, it } from '@jest/globals';
import { faultsOf } from './redis-examination.js';

const info = (...lines: string[]): string => ['# Server', ...lines, ''].join('\r\n');

describe('what is wrong with a Redis', () => {
  it.each([
    ['one as it should be', info('redis_version:7.0.15', 'maxmemory_policy:noeviction')],
    ['the oldest one', info('redis_version:6.2.0', 'maxmemory_policy:noeviction')],
    ['one that says nothing of itself', ''],
    ['Valkey, which says it is an old Redis', info('redis_version:5.0.0', 'valkey_version:8.1.0')],
    ['Dragonfly, which does so too', info('redis_version:5.0.0', 'dragonfly_version:df-v1.30.0')],
  ])('is nothing, with %s', (_which, info) => {
    expect(faultsOf(info)).toEqual([]);
  });

  it.each(['allkeys-lru', 'volatile-ttl'])('is a policy of %s, under which tickets get lost', (policy) => {
    const faults = faultsOf(info('redis_version:7.0.15', `maxmemory_policy:${policy}`));
    expect(faults).toEqual([expect.stringMatching(new RegExp(`maxmemory-policy ${policy}.*noeviction`))]);
  });

  it.each(['6.0.16', '5.0.14', '3.2.1'])('is its version when that is %s', (version) => {
    expect(faultsOf(info(`redis_version:${version}`))).toEqual([expect.stringContaining(version)]);
  });
});
