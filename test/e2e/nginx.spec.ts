import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:http2';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ConnectionError, type JobEvent, Rejoinder } from '@rejoinder/client';
import { Agent, fetch as fetchOverHttp2, type RequestInit as Http2Init } from 'undici';
import { BadLine } from '../support/bad-line.js';
import { findChromium, startBrowser } from '../support/browser.js';
import { findNginx, type Nginx, shownConfigurations, startNginx } from '../support/nginx.js';
import { Visitor } from '../support/playground.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { steadyPort } from '../support/steady-port.js';

const CERTIFICATE = resolve('test/support/tls/localhost-cert.pem');
const KEY = resolve('test/support/tls/localhost-key.pem');

/** Shorter than a request's longest wait here, and longer than the time to a stream's next beat. */
const WAIT_SECONDS = 2;
const BEAT_SECONDS = 10;

// Continuous integration installs nginx, so there it must not be skipped.
const withNginx = findNginx() === undefined && process.env['CI'] === undefined ? describe.skip : describe;

withNginx('behind nginx', () => {
  let stack: Stack;
  let line: BadLine;
  let cutting: BadLine;
  const started: Nginx[] = [];
  /** The addresses of two nginx: one knows only the API's address, the other is set up as on the page. */
  let plain: string;
  let shown: string;
  const agent = new Agent({ allowH2: true, connect: { ca: readFileSync(CERTIFICATE) } });
  /** HTTP/2, with a certificate that only this test trusts. */
  const overHttp2 = ((url: string, init: RequestInit = {}) =>
    fetchOverHttp2(url, { ...(init as Http2Init), dispatcher: agent })) as unknown as typeof fetch;

  beforeAll(async () => {
    stack = await startStack({ env: { LONGEST_WAIT_SECONDS: String(WAIT_SECONDS) } });
    await stack.model.script('for long', { pieces: ['Hm. ', 'Yes.'], stall_after: 1 });
    await stack.model.script('slowly', { text: 'So.', delay_ms: (BEAT_SECONDS + 3) * 1_000 });
    line = await BadLine.to(stack.api.url, () => undefined);
    cutting = await BadLine.to(stack.api.url, () => ({ cutAfter: 20_000 }));
    const [plainPort, shownPort] = [await steadyPort(), await steadyPort()];
    plain = `http://127.0.0.1:${plainPort}`;
    shown = `https://localhost:${shownPort}/rejoinder`;
    const [page = ''] = await shownConfigurations('docs/operations/proxies.md');
    // This test's names and files, in place of the page's.
    const ours = new Map([
      ['server 127.0.0.1:3000;', `server ${new URL(line.url).host};`],
      ['listen 443 ssl http2;', `listen 127.0.0.1:${shownPort} ssl http2;`],
      ['server_name example.com;', 'server_name localhost;'],
      ['/etc/ssl/certs/example.com.pem;', `${CERTIFICATE};`],
      ['/etc/ssl/private/example.com.key;', `${KEY};`],
    ]);
    let config = page;
    for (const [theirs, own] of ours) {
      expect(config).toContain(theirs);
      config = config.replace(theirs, own);
    }
    started.push(
      ...(await Promise.all([
        startNginx(
          `gzip on; gzip_types *; server {
             listen 127.0.0.1:${plainPort};
             location / { proxy_pass ${stack.api.url}; }
             location /short/ { proxy_pass ${stack.api.url}/; proxy_read_timeout ${WAIT_SECONDS + 1}s; }
             location /cut10/ { proxy_pass ${cutting.url}/; }
             location /cut11/ { proxy_pass ${cutting.url}/; proxy_http_version 1.1; }
             location /beat/ { proxy_pass ${stack.api.url}/; proxy_read_timeout ${BEAT_SECONDS + 2}s; }
           }`,
          plainPort,
        ),
        startNginx(config, shownPort),
      ])),
    );
  });
  afterAll(async () => {
    await agent.destroy();
    await Promise.all(started.map((nginx) => nginx.stop()));
    line?.close();
    cutting?.close();
    await stack?.stop();
  });

  const clientOf = (user: string, baseUrl: string): Rejoinder =>
    new Rejoinder({
      baseUrl,
      token: tokenFor(user),
      retryForMs: 0,
      reconnectForMs: 20_000,
      ...(baseUrl.startsWith('https') && { fetch: overHttp2 }),
    });
  /** As curl and most libraries ask: the answer's bytes as they were sent. */
  const rawGet = (url: string, user: string): Promise<{ headers: Record<string, unknown>; body: Buffer }> =>
    new Promise((done, reject) => {
      const headers = { authorization: `Bearer ${tokenFor(user)}`, 'accept-encoding': 'gzip' };
      request(url, { headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => done({ headers: response.headers, body: Buffer.concat(chunks) }));
      })
        .on('error', reject)
        .end();
    });
  /** The two set-ups, each with its address. */
  const ways = (): [name: string, url: string][] => [
    ['as it is by default', plain],
    ['as the page has it', shown],
  ];

  it.concurrent('a stream that is silent is kept by its beats, longer than nginx waits for a piece', async () => {
    const mia = clientOf('mia', `${plain}/beat`);
    const begun = Date.now();
    const stream = mia.streamTurn((await mia.openChat('support')).id, 'slowly');
    const events: JobEvent[] = [];
    for await (const event of stream) events.push(event);
    expect(Date.now() - begun).toBeGreaterThan((BEAT_SECONDS + 2) * 1_000);
    expect(stream.message?.content).toBe('So.');
    // A stream that was cut and resumed would show its state again.
    expect(events.filter(({ type }) => type === 'job').map((event) => 'job' in event && event.job.status)).toEqual([
      'queued',
      'running',
      'succeeded',
    ]);
  });

  it.concurrent('a turn that takes long becomes a 202 before nginx gives up', async () => {
    const headers = { authorization: `Bearer ${tokenFor('leo')}`, 'content-type': 'application/json' };
    const chat = await clientOf('leo', plain).openChat('support');
    const turn = await fetch(`${plain}/short/api/v1/chats/${chat.id}/turns`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ user_message: 'for long' }),
    });
    const body = (await turn.json()) as { id: string; status: string };
    expect([turn.status, body.status]).toEqual([202, expect.stringMatching(/^(queued|running)$/)]);
    const location = new URL(turn.headers.get('location') ?? '', turn.url);
    expect(location.href).toBe(`${plain}/short/api/v1/jobs/${body.id}`);
    const asked = await fetch(location, { headers: { ...headers, prefer: 'wait=60' } });
    expect([asked.status, asked.headers.get('preference-applied')]).toEqual([200, `wait=${WAIT_SECONDS}`]);
    await clientOf('leo', plain).cancelJob(body.id);
  });

  it.concurrent(
    'text arrives while the reply is being written, even where nginx buffers and compresses all it can',
    async () => {
      for (const [name, url] of ways()) {
        const ana = clientOf(`ana ${name}`, url);
        const chat = await ana.openChat('support');
        let text = '';
        const stream = ana.streamTurn(chat.id, 'for long');
        for await (const event of stream) {
          if (event.type !== 'delta') continue;
          text += event.text;
          // Only this ends it.
          await ana.cancelJob(stream.jobId ?? '');
        }
        expect([name, text, stream.job?.status]).toEqual([name, 'Hm. ', 'canceled']);
        // A stream that was left can be resumed.
        const again = ana.followJob(stream.jobId ?? '', { lastEventId: '1.0' });
        for await (const _ of again);
        expect([name, again.job?.status]).toEqual([name, 'canceled']);
      }
    },
  );

  it.concurrent('a compressed answer has a weak tag, which works in conditional requests', async () => {
    for (const [name, url] of ways()) {
      const ben = clientOf(`ben ${name}`, url);
      const { id } = await ben.openChat('support');
      await ben.updateChat(id, { metadata: { long: 'x'.repeat(500), longer: 'y'.repeat(490) } });
      const chat = await ben.getChat(id);
      expect(await ben.getChat(id)).toBe(chat);
      const changed = await ben.updateChat(id, { title: 'one' }, { ifUnchanged: chat });
      await expect(ben.updateChat(id, { title: 'two' }, { ifUnchanged: chat })).rejects.toMatchObject({ status: 412 });
      await ben.deleteChat(id, { ifUnchanged: changed });
    }
    const ada = clientOf('ada', plain);
    const { id } = await ada.openChat('support');
    await ada.updateChat(id, { metadata: { long: 'x'.repeat(500), longer: 'y'.repeat(490) } });
    const { headers, body } = await rawGet(`${plain}/api/v1/chats/${id}`, 'ada');
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', etag: expect.stringMatching(/^W\/"/) });
    expect(JSON.parse(gunzipSync(body).toString())).toMatchObject({ id });
  });

  it.concurrent('below a path each address in an answer leads to the right place', async () => {
    const headers = { authorization: `Bearer ${tokenFor('eva')}`, 'content-type': 'application/json' };
    const ask = async (address: string, method = 'GET', body?: object): Promise<Response> =>
      overHttp2(address, { method, headers, body: body && JSON.stringify(body) });
    const found = async (response: Response, reference: string | null): Promise<any> =>
      (await ask(new URL(reference ?? '', response.url).href)).json();
    const opened = await ask(`${shown}/api/v1/assistants/support/chats`, 'POST', {});
    const chat = (await opened.json()) as { id: string };
    expect(opened.status).toBe(201);
    expect((await found(opened, opened.headers.get('location'))).id).toBe(chat.id);
    for (const path of ['chats', 'assistants/support/chats']) {
      const at = `${shown}/api/v1/${path}/${chat.id}`;
      const asked = await overHttp2(`${at}/turns`, {
        method: 'POST',
        headers: { ...headers, prefer: 'respond-async' },
        body: '{"user_message":"hello"}',
      });
      const job = (await asked.json()) as { id: string };
      expect((await found(asked, asked.headers.get('location'))).id).toBe(job.id);
      await clientOf('eva', shown).waitForJob(job.id);
      const page = await ask(`${at}/messages?limit=1`);
      const older = /^<([^>]+)>; rel="prev"/.exec(page.headers.get('link') ?? '')?.[1] ?? '';
      const [{ seq }] = ((await page.json()) as { data: [{ seq: number }] }).data;
      expect((await found(page, older)).data).toMatchObject([{ seq: seq - 1 }]);
    }
    const erased = await overHttp2(`${shown}/api/v1/me`, {
      method: 'DELETE',
      headers: { authorization: headers.authorization, prefer: 'respond-async' },
    });
    const receipt = (await erased.json()) as { id: string };
    expect((await found(erased, erased.headers.get('location'))).id).toBe(receipt.id);
  });

  (findChromium() === undefined ? it.skip : it)('below a path the playground and Swagger UI work', async () => {
    await stack.model.script('below a path', { text: 'Here I am.' });
    const browser = await startBrowser();
    try {
      const visitor = await Visitor.open(browser, `${shown}/`, { ignoreHTTPSErrors: true });
      const { page, complaints } = visitor;
      page.on(
        'request',
        (asked) => asked.url().startsWith(`${shown}/`) || complaints.push(`elsewhere: ${asked.url()}`),
      );
      await page.getByRole('textbox', { name: 'Bearer token' }).fill(tokenFor('ida'));
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('list', { name: 'Assistants' }).getByRole('button').first().click();
      await visitor.send('Are you below a path?');
      await visitor.reply('Here I am.');
      await page.goto(`${shown}/docs`);
      await page.getByRole('button', { name: 'Authorize' }).first().click();
      const form = page.locator('.modal-ux');
      await form.locator('input').fill(tokenFor('ida'));
      await form.getByRole('button', { name: 'Apply credentials' }).click();
      // The page remembers it, at its other address, too.
      for (const path of ['docs', 'docs/']) {
        if (path === 'docs/') await page.goto(`${shown}/${path}`);
        else await form.getByRole('button', { name: 'Close' }).first().click();
        const operation = page.locator('[id$="-listChats"]');
        await operation.locator('.opblock-summary').click();
        await operation.getByRole('button', { name: 'Execute' }).click();
        const answer = operation.locator('.live-responses-table').first();
        await answer.filter({ hasText: '"assistant"' }).waitFor();
        expect(await operation.locator('.request-url').innerText()).toContain(`${shown}/api/v1/chats`);
      }
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  it.concurrent('as the page has it, speaks HTTP/2 to clients and keeps its connections to the API', async () => {
    const kim = clientOf('kim', shown);
    await kim.openChat('support');
    const before = line.connections;
    for (let n = 0; n < 20; n++) await kim.listChats({ limit: 1 + n });
    // Other tests use it at the same time.
    expect(line.connections - before).toBeLessThan(8);
    const session = connect(new URL(shown).origin, { ca: readFileSync(CERTIFICATE) });
    await once(session, 'connect');
    expect(session.alpnProtocol).toBe('h2');
    session.destroy();
    const answer = await overHttp2(`${shown}/health/live`);
    expect(answer.headers.get('strict-transport-security')).toBe('max-age=63072000');
  });

  it.concurrent(
    'an export that breaks off is not taken for complete; in HTTP/1.0 only the typed client notices',
    async () => {
      for (const [name, url] of ways()) {
        const [user, zoe] = [`zoe ${name}`, clientOf(`zoe ${name}`, url)];
        const { id } = await zoe.openChat('support');
        for (let n = 0; n < 3; n++) await zoe.createMessage(id, { content: `${n} `.repeat(10_000) });
        const read = async (client: Rejoinder): Promise<string> => {
          let last = '';
          for await (const { type } of client.exportMe()) last = type;
          return last;
        };
        expect([name, await read(zoe)]).toEqual([name, 'end']);
        for (const cut of ['cut10', 'cut11']) {
          await expect(read(clientOf(user, `${plain}/${cut}`))).rejects.toBeInstanceOf(ConnectionError);
          const headers = { authorization: `Bearer ${tokenFor(user)}` };
          const whole = fetch(`${plain}/${cut}/api/v1/me/export`, { headers }).then((answer) => answer.text());
          if (cut === 'cut10') expect((await whole).length).toBeGreaterThan(1_000);
          else await expect(whole).rejects.toThrow();
        }
      }
    },
  );

  it.concurrent('errors differ from nginx’s own: they have the contract’s shape', async () => {
    for (const [, url] of ways()) {
      const get = url === plain ? fetch : overHttp2;
      const missing = await get(`${url}/api/v1/nothing`, { headers: { authorization: `Bearer ${tokenFor('x')}` } });
      expect([missing.status, await missing.json()]).toEqual([404, expect.objectContaining({ code: 'not_found' })]);
      const large = await get(`${url}/api/v1/assistants/support/chats`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tokenFor('x')}`, 'content-type': 'application/json' },
        body: `{"metadata":{"x":"${'x'.repeat(300_000)}"}}`,
      });
      expect([large.status, await large.json()]).toEqual([413, expect.objectContaining({ code: 'payload_too_large' })]);
    }
    // Another test breaks exports off at the same time.
    const lines = started.flatMap((nginx) => nginx.log().split('\n')).filter((line) => !line.includes(' /cut1'));
    expect(lines.filter((line) => /\[(error|crit|alert)\]/.test(line))).toEqual([]);
  });
});
