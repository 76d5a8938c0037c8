import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { borrowStack } from '../support/borrow-stack.js';
import { contract } from '../support/client.js';
import type { App } from '../support/processes.js';
import type { Stack } from '../support/stack.js';

describe('the served playground', () => {
  let stack: Stack;
  let dataDir: string;
  /** With the development secret. */
  let open: App;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-playground-'));
    stack = await borrowStack({ ownWorkers: 0 });
    open = await stack.startApi({ JWT_SECRET: '', DATA_DIR: dataDir });
  });
  afterAll(async () => {
    await stack.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  /** An error in the contract's shape. */
  const refusal = async (response: Response): Promise<[number, unknown]> => {
    const body: any = await response.json();
    expect(contract.schemaFaults('/components/schemas/ErrorBody', body, response.url)).toEqual([]);
    expect(response.headers.get('x-request-id')).toBe(body.request_id);
    return [response.status, body.code];
  };
  const give = (url: string, body: object = { user: 'ana' }, headers: Record<string, string> = {}) =>
    fetch(`${url}/playground/token`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
  /** Under another Host, which `fetch` does not allow. */
  const giveTo = (url: string, headers: Record<string, string>): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(url);
      const options = { hostname, port, path: '/playground/token', method: 'POST' };
      request({ ...options, headers: { 'content-type': 'application/json', ...headers } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end('{"user":"ana"}');
    });

  it('is a page that runs only its own files, and may not be framed', async () => {
    const page = await fetch(`${stack.api.url}/`);
    expect(page.status).toBe(200);
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    expect(page.headers.get('x-request-id')).toBeTruthy();
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy.split(';')).toEqual(
      expect.arrayContaining([
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
      ]),
    );
    expect(policy).not.toContain('unsafe');
    const html = await page.text();
    expect(html).not.toMatch(/<style|style=|<script(?![^>]+src="\.\/assets\/)/);
    expect(html).not.toMatch(/https?:\/\//);
  });

  it('is revalidated at the cost of a 304; the files that it loads are cached for good', async () => {
    const page = await fetch(`${stack.api.url}/`);
    const etag = page.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[^"]+"$/);
    const again = await fetch(`${stack.api.url}/`, { headers: { 'if-none-match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);

    const assets = [...(await page.text()).matchAll(/"\.(\/assets\/[^"]+)"/g)].map(([, path]) => path ?? '');
    expect(assets.map((path) => path.split('.').at(-1)).sort()).toEqual(['css', 'js', 'svg']);
    for (const path of assets) {
      const asset = await fetch(`${stack.api.url}${path}`);
      expect([asset.status, asset.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable']);
      expect(asset.headers.get('content-type')).toMatch(/^(text\/css|text\/javascript|image\/svg\+xml)/);
      expect(asset.headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  it('answers HEAD, and refuses other methods and unknown files in the one shape', async () => {
    const head = await fetch(`${stack.api.url}/`, { method: 'HEAD' });
    expect([head.status, await head.text(), head.headers.get('etag')]).toEqual([200, '', expect.any(String)]);
    const post = await fetch(`${stack.api.url}/`, { method: 'POST' });
    expect(post.headers.get('allow')).toBe('GET, HEAD');
    expect(await refusal(post)).toEqual([405, 'method_not_allowed']);
    expect(await refusal(await fetch(`${open.url}/playground/token`))).toEqual([405, 'method_not_allowed']);
    for (const path of ['/assets/', '/assets/nothing.js', '/assets/..%2findex.html', '/index.html']) {
      expect(await refusal(await fetch(`${stack.api.url}${path}`))).toEqual([404, 'not_found']);
    }
  });

  it.each([
    ['it is switched off', 404, { PLAYGROUND: 'off' }],
    ['it is production', 404, { NODE_ENV: 'production', HOST: '127.0.0.1' }],
    ['it is production that asked for it', 200, { NODE_ENV: 'production', HOST: '127.0.0.1', PLAYGROUND: 'on' }],
  ])('when %s: GET / is %i, and nobody gets a token', async (_, status, env) => {
    const app = await stack.startApi(env);
    const page = await fetch(`${app.url}/`);
    expect(page.status).toBe(status);
    if (status === 404) expect(await refusal(page)).toEqual([404, 'not_found']);
    else expect(await page.text()).toContain('<meta name="sign-in" content="token" />');
    expect(await refusal(await give(app.url))).toEqual([404, 'not_found']);
    await app.stop();
  });

  it('gives a token for any user in development, and the token works', async () => {
    expect(await (await fetch(`${open.url}/`)).text()).toContain('<meta name="sign-in" content="development" />');
    const given = await give(open.url, { user: 'ana' }, { origin: open.url });
    expect([given.status, given.headers.get('cache-control')]).toEqual([200, 'no-store']);
    const { token, expires_at: expiresAt } = (await given.json()) as any;
    expect(Math.round((Date.parse(expiresAt as string) - Date.now()) / 3_600_000)).toBe(24);
    const chats = await fetch(`${open.url}/api/v1/chats`, { headers: { authorization: `Bearer ${token}` } });
    expect(chats.status).toBe(200);
    // Signed with the secret of `npm run token`, not with one of the settings.
    const elsewhere = await fetch(`${stack.api.url}/api/v1/chats`, { headers: { authorization: `Bearer ${token}` } });
    expect(elsewhere.status).toBe(401);
  });

  it('gives no token when a secret is set', async () => {
    expect(await refusal(await give(stack.api.url))).toEqual([404, 'not_found']);
    expect(await (await fetch(`${stack.api.url}/`)).text()).toContain('<meta name="sign-in" content="token" />');
  });

  it('gives no token to other pages: by a name that was made to point here, from another site, through a proxy, from another machine', async () => {
    const { host, port } = new URL(open.url);
    expect(await giveTo(open.url, { host })).toBe(200);
    expect(await giveTo(open.url, { host: `localhost:${port}`, origin: `http://localhost:${port}` })).toBe(200);
    expect(await giveTo(open.url, { host: `[::1]:${port}` })).toBe(200);
    const foreign: Record<string, string>[] = [
      { host: `evil.example:${port}` },
      { host: `localhost.evil.example:${port}` },
      { host: `127.0.0.1.evil.example` },
      { host, origin: 'https://evil.example' },
      { host, origin: `http://127.0.0.1:${Number(port) + 1}` },
      { host, origin: 'null' },
      { host, 'x-forwarded-for': '203.0.113.7' },
      { host, forwarded: 'for=203.0.113.7' },
      { host, 'x-forwarded-proto': 'https' },
      { host, 'cf-connecting-ip': '203.0.113.7' },
    ];
    for (const headers of foreign) expect([headers, await giveTo(open.url, headers)]).toEqual([headers, 404]);
    const own = Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal);
    if (own === undefined) return;
    const everywhere = await stack.startApi({ JWT_SECRET: '', DATA_DIR: dataDir, HOST: '0.0.0.0' });
    const { port: theirs } = new URL(everywhere.url);
    // It uses a name of this machine, but comes by another interface.
    expect(await giveTo(`http://${own.address}:${theirs}`, { host: `localhost:${theirs}` })).toBe(404);
    expect(await giveTo(`http://127.0.0.1:${theirs}`, { host: `localhost:${theirs}` })).toBe(200);
    await everywhere.stop();
  });

  it.each([[{}], [{ user: '' }], [{ user: 7 }], [{ user: 'a\0' }], [{ user: 'x'.repeat(256) }]])(
    'refuses %j as a user',
    async (body) => {
      expect(await refusal(await give(open.url, body))).toEqual([422, 'validation_failed']);
    },
  );

  it('does not accept a form: another site’s page could send one without a preflight', async () => {
    for (const body of [new URLSearchParams({ user: 'ana' }), '{"user":"ana"}']) {
      const form = await fetch(`${open.url}/playground/token`, { method: 'POST', body });
      expect(await refusal(form)).toEqual([415, 'unsupported_media_type']);
    }
  });
});
