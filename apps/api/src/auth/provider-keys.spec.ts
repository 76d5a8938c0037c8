import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import type { ServiceError } from '#errors/service-error.js';
import { newKeyPair } from './new-key-pair.js';
import { ProviderKeys, TIMINGS } from './provider-keys.js';

const jwk = (kid: string): object => ({
  ...newKeyPair('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
  kid,
});

describe('the keys of a provider', () => {
  beforeAll(() => Logger.overrideLogger(false));

  let server: Server;
  let url: string;
  let fetches = 0;
  let answer: RequestListener;
  let published: object[];
  let made: ProviderKeys[];
  beforeEach(async () => {
    fetches = 0;
    published = [jwk('a')];
    made = [];
    answer = (_, response) => void response.end(JSON.stringify({ keys: published }));
    server = createServer((request, response) => {
      fetches += 1;
      answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterEach(() => {
    for (const keys of made) keys.onModuleDestroy();
    server.close();
    server.closeAllConnections();
  });

  const keysWith = (timings: Partial<typeof TIMINGS> = {}): ProviderKeys => {
    const keys = new ProviderKeys(url, { ...TIMINGS, ...timings });
    made.push(keys);
    return keys;
  };
  /** The outcome for a token with this `kid`. */
  const find = async (keys: ProviderKeys, kid: string): Promise<'known' | 'unknown' | 'unavailable'> =>
    keys.keyFor({ alg: 'ES256', kid }).then(
      (key) => (key === undefined ? 'unknown' : 'known'),
      (error: ServiceError) => error.code as 'unavailable',
    );
  const untilIt = async (keys: ProviderKeys, kid: string, comesTo: Awaited<ReturnType<typeof find>>): Promise<void> => {
    while ((await find(keys, kid)) !== comesTo) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  it('are fetched once for all who wait, and for no token that names another algorithm', async () => {
    const keys = keysWith();
    expect(await keys.keyFor({ alg: 'HS256', kid: 'a' })).toBeUndefined();
    expect(await keys.keyFor({ alg: 'none', kid: undefined })).toBeUndefined();
    expect(fetches).toBe(0);
    expect(await Promise.all([find(keys, 'a'), find(keys, 'a'), find(keys, 'b')])).toEqual([
      'known',
      'known',
      'unknown',
    ]);
    expect(fetches).toBe(1);
  });

  it('are fetched for a key that is new, and once for all that are made up until some time has passed', async () => {
    const keys = keysWith({ vain: 200 });
    await find(keys, 'a');
    published = [jwk('a'), jwk('b')];
    expect(await find(keys, 'b')).toBe('known');
    published = [jwk('b'), jwk('c')];
    expect([await find(keys, 'c'), fetches]).toEqual(['known', 3]);
    expect([await find(keys, 'x0'), fetches]).toEqual(['unknown', 4]);
    published = [jwk('d')];
    const many = keysWith();
    await find(many, 'x');
    for (let n = 0; n < 50; n++) await find(many, `x${n}`);
    expect(fetches).toBe(5);
    await untilIt(keys, 'd', 'known');
  });

  it('are fetched again by themselves: one that was withdrawn is used no longer', async () => {
    const keys = keysWith({ every: 50 });
    keys.onApplicationBootstrap();
    await untilIt(keys, 'a', 'known');
    published = [jwk('b')];
    await untilIt(keys, 'a', 'unknown');
    expect(await find(keys, 'b')).toBe('known');
  });

  it.each<[string, RequestListener]>([
    ['hangs', () => undefined],
    ['never ends', (_, response) => void response.write('{"keys":[')],
    ['breaks off', (_, response) => void response.write('{"keys":[', () => response.destroy())],
    ['has an error', (_, response) => void response.writeHead(500).end('{"keys":[]}')],
    ['leads elsewhere', (_, response) => void response.writeHead(302, { location: '/elsewhere' }).end()],
    ['says too much', (_, response) => void response.end(JSON.stringify({ keys: published, x: 'x'.repeat(300_000) }))],
    ['says nothing', (_, response) => void response.end()],
    ['has a page', (_, response) => void response.setHeader('content-type', 'text/html').end('<html></html>')],
    ['has no key left', (_, response) => void response.end('{"keys":[]}')],
  ])('go on when their server %s; what it does not know is unavailable, with one try', async (_, failure) => {
    // The first fetch must succeed within this time, even on a busy machine.
    const keys = keysWith({ fetch: 1_000 });
    await find(keys, 'a');
    answer = failure;
    const found = await Promise.all(['a', 'b', 'c'].map((kid) => find(keys, kid)));
    expect(found).toEqual(['known', 'unavailable', 'unavailable']);
    for (let n = 0; n < 50; n++) expect(await find(keys, `x${n}`)).toBe('unavailable');
    expect([await find(keys, 'a'), fetches]).toEqual(['known', 2]);
  });

  it('come back with their server, asked by a token or by themselves', async () => {
    const good = answer;
    answer = (_, response) => void response.writeHead(503).end();
    const byToken = keysWith({ retry: 50 });
    const byItself = keysWith({ again: 50 });
    byItself.onApplicationBootstrap();
    expect([await find(byToken, 'a'), await find(byItself, 'a')]).toEqual(['unavailable', 'unavailable']);
    answer = good;
    await untilIt(byToken, 'a', 'known');
    await untilIt(byItself, 'a', 'known');
  });

  it('that cannot be used are reported as such, and not as a server that is away', async () => {
    const logged: unknown[] = [];
    Logger.overrideLogger({ log: () => undefined, error: () => undefined, warn: (text) => void logged.push(text) });
    try {
      published = [
        { ...newKeyPair('ed448').publicKey.export({ format: 'jwk' }), kid: 'b' },
        { ...jwk('c'), use: 'enc' },
      ];
      const keys = keysWith({ retry: 0 });
      expect([await find(keys, 'b'), await find(keys, 'b')]).toEqual(['unavailable', 'unavailable']);
      answer = (_, response) => void response.writeHead(503).end();
      await find(keys, 'b');
    } finally {
      Logger.overrideLogger(false);
    }
    expect(logged).toEqual([
      'the identity provider has no usable key (JWT_JWKS_URI): ' +
        '"b": its type ("OKP" "Ed448") is not supported; "c": it is for another use',
      'the identity provider does not give its keys (JWT_JWKS_URI): it answered 503',
    ]);
  });

  it('are trusted for a time only when their server stays away', async () => {
    const keys = keysWith({ trusted: 300, retry: 10 });
    await find(keys, 'a');
    answer = (_, response) => void response.writeHead(503).end();
    expect(await find(keys, 'b')).toBe('unavailable');
    await untilIt(keys, 'a', 'unavailable');
  });
});
