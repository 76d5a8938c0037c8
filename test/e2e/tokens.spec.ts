import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { constants, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Answer, Client } from '../support/client.js';
import { hmac, KeyServer, newKey, signedBy, type SigningKey, tokenOf } from '../support/key-server.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';
import { until } from '../support/until.js';

const ISSUER = 'https://id.example';
const AUDIENCE = 'rejoinder';
const LOG = { LOG_LEVEL: 'debug', LOG_FORMAT: 'json' };

describe('tokens of an identity provider', () => {
  const provider = new KeyServer();
  const rsa = newKey('rsa-1', 'RS256');
  const ec = newKey('ec-1', 'ES256');
  const next = newKey('ec-2', 'ES256');
  const weak = newKey('weak', 'RS256', 1024);
  const forEncryption = newKey('enc', 'RS256');
  const others = (['PS256', 'ES384', 'EdDSA'] as const).map((alg) => newKey(`of-${alg}`, alg));
  const shared = 'a secret that is published as a key';
  const foreign = newKey('foreign', 'ES256');
  let stack: Stack;
  beforeAll(async () => {
    provider.keys = [
      rsa.jwk,
      ec.jwk,
      weak.jwk,
      ...others.map(({ jwk, alg }) => ({ ...jwk, alg })),
      { ...forEncryption.jwk, use: 'enc' },
      { kty: 'oct', kid: 'oct', k: Buffer.from(shared).toString('base64url') },
    ];
    await provider.start();
    stack = await startStack({
      workers: 0,
      env: { JWT_SECRET: '', JWT_JWKS_URI: provider.url, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE, ...LOG },
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await provider.stop();
  });

  const now = (): number => Math.floor(Date.now() / 1_000);
  const claims = (more: object = {}): Record<string, unknown> => ({
    sub: 'ana',
    iss: ISSUER,
    aud: AUDIENCE,
    exp: now() + 600,
    ...more,
  });
  const from = (key: SigningKey, more: object = {}, header: object = {}): string =>
    tokenOf({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header }, claims(more), signedBy(key));
  const ask = (token: string, app: App = stack.api): Promise<Answer> => new Client(app.url, token).get('/api/v1/chats');
  const statuses = async (tokens: Record<string, string>): Promise<Record<string, number>> => {
    const answers: Record<string, number> = {};
    for (const [name, token] of Object.entries(tokens)) answers[name] = (await ask(token)).status;
    return answers;
  };
  const all = (tokens: Record<string, string>, status: number): Record<string, number> =>
    Object.fromEntries(Object.keys(tokens).map((name) => [name, status]));

  it('are accepted by their claims, with five seconds of leeway for clocks', async () => {
    const good = {
      RS256: from(rsa),
      ES256: from(ec),
      ...Object.fromEntries(others.map((key) => [key.alg, from(key)])),
      'EdDSA by its other name': from(others.at(-1) as SigningKey, {}, { alg: 'Ed25519' }),
      'without kid, by the only key of its kind': tokenOf({ alg: 'ES256' }, claims(), signedBy(ec)),
      'for several': from(ec, { aud: ['another', AUDIENCE] }),
      'just over': from(ec, { exp: now() - 2 }),
      'just not begun': from(ec, { nbf: now() + 3, iat: now() + 3 }),
    };
    expect(await statuses(good)).toEqual(all(good, 200));
    expect(provider.asked).toEqual(['/keys']);
    const bad = {
      over: from(ec, { exp: now() - 10 }),
      'not begun': from(ec, { nbf: now() + 30 }),
      'that never ends': from(ec, { exp: undefined }),
      'that ends in words': from(ec, { exp: 'tomorrow' }),
      'of another issuer': from(ec, { iss: 'https://id.example.evil' }),
      'of no issuer': from(ec, { iss: undefined }),
      'of a list of issuers': from(ec, { iss: [ISSUER] }),
      'for another': from(ec, { aud: 'another' }),
      'for others': from(ec, { aud: ['another', 'third'] }),
      'for nobody': from(ec, { aud: undefined }),
      'of nobody': from(ec, { sub: undefined }),
    };
    expect(await statuses(bad)).toEqual(all(bad, 401));
    expect(provider.asked).toHaveLength(1);
  });

  it('with a new key are accepted at once, and many made-up keys cause one fetch', async () => {
    provider.keys = [...provider.keys.filter(({ kid }) => kid !== ec.kid), next.jwk];
    const before = provider.asked.length;
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(from(next))));
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(provider.asked.length - before).toBe(1);

    // Among them is the withdrawn key.
    const madeUp = [ec, ...Array.from({ length: 60 }, (_, n) => ({ ...foreign, kid: `made-up-${n}` }))];
    const refused = await Promise.all(madeUp.map((key) => ask(from(key))));
    expect(refused.map(({ status }) => status)).toEqual(madeUp.map(() => 401));
    expect(refused[0]?.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect((await ask(from(rsa))).status).toBe(200);
    expect(provider.asked.length - before).toBe(2);
  });

  it('are verified only with keys of the provider, each for its own algorithm, whatever their headers say', async () => {
    const { alg, kid } = rsa;
    const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' });
    const elsewhere = provider.url.replace('/keys', '/evil');
    const by = (key: SigningKey, header: object, payload: unknown = claims()): string =>
      tokenOf({ alg: key.alg, kid: key.kid, ...header }, payload, signedBy(key));
    const [, , signature = ''] = from(next).split('.');
    const forged = {
      'alg none': tokenOf({ alg: 'none' }, claims(), () => ''),
      'alg none, with a kid': tokenOf({ alg: 'none', kid }, claims(), () => ''),
      'alg NonE, signed': tokenOf({ alg: 'NonE', kid }, claims(), signedBy(rsa)),
      'no alg': tokenOf({ kid }, claims(), signedBy(rsa)),
      'a list of algs': tokenOf({ alg: ['RS256'], kid }, claims(), signedBy(rsa)),
      'no signature': tokenOf({ alg, kid }, claims(), () => ''),
      'the public key as a secret': tokenOf({ alg: 'HS256', kid }, claims(), hmac(pem)),
      'its text without the last line break': tokenOf({ alg: 'HS256', kid }, claims(), hmac(String(pem).trim())),
      'its JWK as a secret': tokenOf({ alg: 'HS256', kid }, claims(), hmac(JSON.stringify(rsa.jwk))),
      'no secret at all': tokenOf({ alg: 'HS256' }, claims(), hmac('')),
      'a symmetric key of the set': tokenOf({ alg: 'HS256', kid: 'oct' }, claims(), hmac(shared)),
      'ES256 by the RSA key': tokenOf({ alg: 'ES256', kid }, claims(), signedBy(rsa)),
      'RS256 by the EC key': tokenOf({ alg: 'RS256', kid: next.kid }, claims(), signedBy(next)),
      PS256: tokenOf({ alg: 'PS256', kid }, claims(), (text) =>
        sign('sha256', Buffer.from(text), { key: rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING }),
      ),
      RS512: tokenOf({ alg: 'RS512', kid }, claims(), (text) => sign('sha512', Buffer.from(text), rsa.privateKey)),
      'a foreign key under a known kid': by(foreign, { kid: next.kid }),
      'a foreign key, brought along': by(foreign, { jwk: foreign.jwk }),
      'a foreign key, brought along under a known kid': by(foreign, { kid: next.kid, jwk: foreign.jwk }),
      'a foreign key at another address': by(foreign, { jku: elsewhere, x5u: elsewhere }),
      'a foreign key at another address under a known kid': by(foreign, { kid: next.kid, jku: elsewhere }),
      'a foreign key as a certificate': by(foreign, { x5c: [Buffer.from('certificate').toString('base64')] }),
      'extensions that must be understood': by(rsa, { crit: ['b64'], b64: true }),
      'extensions that are none': by(rsa, { crit: [] }),
      'a weak key of the set': by(weak, {}),
      'a key of the set that is for encryption': by(forEncryption, {}),
      'another payload': from(next).replace(/\.[^.]+\./, `.${Buffer.from('{"sub":"eve"}').toString('base64url')}.`),
      'a signature of another token': `${from(next, { sub: 'eve' }).split('.').slice(0, 2).join('.')}.${signature}`,
      'a signature of zeros': tokenOf({ alg: 'ES256', kid: next.kid }, claims(), () => Buffer.alloc(64)),
      'a signature as DER': tokenOf({ alg: 'ES256', kid: next.kid }, claims(), (text) =>
        sign('sha256', Buffer.from(text), next.privateKey),
      ),
      'a kid that is a number': by(rsa, { kid: 1 }),
      'a kid that is a path': by(foreign, { kid: '../../../../dev/null' }),
      'a kid of objects': by(foreign, { kid: '__proto__' }),
      'a payload of null': by(rsa, {}, 'null'),
      'a payload that is no object': by(rsa, {}, '"ana"'),
      'a header that is no object': `${Buffer.from('null').toString('base64url')}.e30.AAAA`,
      'a header that is no JSON': 'bm8.e30.AAAA',
      'five parts': `${from(rsa)}.AAAA.AAAA`,
    };
    expect(await statuses(forged)).toEqual(all(forged, 401));
    expect((await ask(from(rsa))).status).toBe(200);
    expect(provider.asked.filter((path) => path !== '/keys')).toEqual([]);
  });

  it('are refused for a reason that the log has, without any part of the token', async () => {
    const { alg, kid } = rsa;
    const secret = 'hunter2';
    const named = (more: object): string => from(rsa, { sub: secret, ...more });
    const why: Record<string, string> = {
      '': 'there is no bearer token',
      'a b': 'there is no bearer token',
      'YQ.YQ.YQ': 'its header cannot be read, or has crit',
      [tokenOf({ alg: 'HS256' }, claims({ sub: secret }), hmac(secret))]:
        'its alg is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519',
      [from(foreign, { sub: secret })]: 'there is no key with its kid for ES256',
      [tokenOf({ alg: 'RS512' }, claims({ sub: secret }), signedBy(rsa))]:
        'it has no kid, and there is not just one key for RS512',
      [tokenOf({ alg, kid }, claims({ sub: secret }), () => '')]: 'its signature does not fit the key',
      [tokenOf({ alg, kid }, secret, signedBy(rsa))]: 'it cannot be read as a signed JWT',
      [named({ exp: now() - 10 })]: 'it has expired',
      [named({ nbf: now() + 60 })]: 'it does not hold yet (nbf)',
      [from(rsa, { sub: undefined })]: 'it has no sub',
      [named({ exp: undefined })]: 'it has no exp',
      [named({ aud: undefined })]: 'it has no aud',
      [named({ iss: undefined })]: 'it has no iss',
      [named({ exp: secret })]: 'its exp is not a number',
      [named({ nbf: secret })]: 'its nbf is not a number',
      [named({ iat: secret })]: 'its iat is not a number',
      [named({ sub: secret.repeat(40) })]: 'its sub is not a text of 1 to 255 characters',
      [named({ aud: secret })]: 'its aud is not JWT_AUDIENCE',
      [named({ iss: secret })]: 'its iss is not JWT_ISSUER',
    };
    const page = readFileSync('docs/operations/tokens.md', 'utf8');
    for (const [token, words] of Object.entries(why)) {
      const { status, headers, body } = await ask(token);
      const id = headers.get('x-request-id') ?? '';
      const line = await until(async () => {
        const lines = stack.api.output().split('\n');
        return lines.find((one) => one.includes(id) && one.includes('"msg":"refused"'));
      }, 'its line in the log');
      expect([status, JSON.parse(line)]).toEqual([
        401,
        expect.objectContaining({ code: 'unauthorized', error: { type: 'TokenFault', message: words } }),
      ]);
      expect(JSON.stringify(body)).not.toContain(words);
      // As on the page. The rest of the line varies.
      expect(page).toContain(
        `\`${words.replace(/(none of R|key for R|kid for E).*/, (part) => `${part.slice(0, 7)} …`)}\``,
      );
    }
    expect(stack.api.output()).not.toContain(secret);
  });

  it('with known keys are accepted while the provider is away; others are not called invalid then', async () => {
    await provider.stop();
    const api = await stack.startApi({ LOG_LEVEL: 'info', LOG_FORMAT: 'text' });
    expect((await new Client(api.url, undefined).get('/health/ready')).status).toBe(200);
    const early = await ask(from(rsa), api);
    expect([early.status, early.body.code, early.headers.get('retry-after')]).toEqual([503, 'unavailable', '5']);

    await provider.start();
    await until(async () => (await ask(from(rsa), api)).status === 200, 'the provider’s keys');

    await provider.stop();
    const later = newKey('ec-3', 'ES256');
    expect((await ask(from(later), api)).status).toBe(503);
    const known = await Promise.all(Array.from({ length: 20 }, () => ask(from(rsa), api)));
    expect(known.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(
      (
        await ask(
          tokenOf({ alg: 'none' }, claims(), () => ''),
          api,
        )
      ).status,
    ).toBe(401);
    expect((await new Client(api.url, undefined).get('/health/ready')).status).toBe(200);

    provider.keys = [...provider.keys, later.jwk];
    await provider.start();
    await until(async () => (await ask(from(later), api)).status === 200, 'the new key');
    const printed = api.output();
    expect(printed).toMatch(/identity provider does not give its keys[\s\S]*the identity provider has the keys "/);
    expect(printed).toContain('ignoring a key of the identity provider: "weak": it has 1024 bits');
    expect(printed).toContain('ignoring a key of the identity provider: "oct": its type ("oct") is not supported');
  });
});
