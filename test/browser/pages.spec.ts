import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Locator, Page } from 'playwright-core';
import { CONTRACT_FILE } from '#process/root.js';
import { findChromium, PATIENCE_MS, startBrowser } from '../support/browser.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

const withBrowser = findChromium() === undefined ? describe.skip : describe;

/** A front-end's page. It knows the addresses of the typed client and of the client's one library. */
const PAGE = `<!doctype html>
<title>a front-end</title>
<link rel="icon" href="data:,">
<script type="importmap">
  { "imports": {
    "@rejoinder/client": "/libs/client/dist/client/src/index.js",
    "eventsource-parser": "/node_modules/eventsource-parser/dist/index.js"
  } }
</script>`;

/** All tests but the playground's. They share a stack and a browser, because both take long to start. */
withBrowser('in a browser', () => {
  let stack: Stack;
  let browser: Browser;
  let site: Server;
  let port: number;
  beforeAll(async () => {
    site = createServer((request, response) => {
      const isFile = request.url?.endsWith('.js') === true;
      response.setHeader('content-type', isFile ? 'text/javascript' : 'text/html');
      if (isFile) createReadStream(`.${request.url}`).pipe(response);
      else response.end(PAGE);
    }).listen(0);
    await once(site, 'listening');
    ({ port } = site.address() as AddressInfo);
    [stack, browser] = await Promise.all([
      // The same server under its other name has another origin.
      startStack({ env: { CORS_ORIGINS: `http://localhost:${port}` } }),
      startBrowser(),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
    await stack?.stop();
  });

  describe('a page of another origin', () => {
    const token = tokenFor('ana');
    const open = async (host: string): Promise<Page> => {
      const page = await browser.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      await page.goto(`http://${host}:${port}/`);
      return page;
    };
    const service = (): { url: string; token: string } => ({ url: stack.api.url, token });

    it('that is on the list opens a chat, follows a reply as it is written, and reads the headers', async () => {
      const page = await open('localhost');
      const seen = await page.evaluate(async ({ url, token }) => {
        const client: string = '@rejoinder/client';
        const { Rejoinder } = await import(client);
        const rejoinder = new Rejoinder({ baseUrl: url, token });
        const chat = await rejoinder.openChat('support');
        let text = '';
        let last: any;
        for await (const event of rejoinder.streamTurn(chat.id, 'hello from elsewhere')) {
          if (event.type === 'delta') text += event.text;
          last = event;
        }
        const ask = async (path: string, init: RequestInit & { cache?: 'no-store' } = {}): Promise<any> => {
          const headers = { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) };
          const response = await fetch(`${url}/api/v1/${path}`, { ...init, headers });
          const names = ['etag', 'location', 'retry-after', 'ratelimit', 'x-request-id', 'preference-applied'];
          const shown = Object.fromEntries(names.map((name) => [name, response.headers.get(name)]));
          return { status: response.status, ...shown, body: await response.text() };
        };
        const accepted = await ask(`chats/${chat.id}/turns`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            prefer: 'respond-async',
            'idempotency-key': 'from-elsewhere',
            'x-request-id': 'my-own',
          },
          body: JSON.stringify({ user_message: 'and again' }),
        });
        // The chat's turn goes on meanwhile, but an assistant does not change.
        const first = await ask('assistants/support');
        // The browser's own cache would give a 200 instead.
        const again = await ask('assistants/support', { headers: { 'if-none-match': first.etag }, cache: 'no-store' });
        const renamed = await ask(`chats/${chat.id}`, {
          method: 'PATCH',
          headers: { 'content-type': 'application/json', 'if-match': '"other"' },
          body: '{"title":"x"}',
        });
        const missing = await ask('jobs/0199a0de-0000-7000-8000-000000000000');
        const stranger = await ask('chats', { headers: { authorization: 'Bearer nobody' } });
        return { text, last, accepted, first, again, renamed, missing, stranger };
      }, service());
      expect(seen.text).toContain('hello from elsewhere');
      expect(seen.last).toMatchObject({ type: 'job', job: { status: 'succeeded' } });
      expect(seen.accepted).toMatchObject({
        status: 202,
        location: expect.stringMatching(/^\.\.\/\.\.\/jobs\//),
        'retry-after': '1',
        ratelimit: expect.stringContaining('"turns"'),
        'x-request-id': 'my-own',
        'preference-applied': 'respond-async',
      });
      expect(seen.first).toMatchObject({ status: 200, etag: expect.stringMatching(/^"/) });
      expect(seen.again.status).toBe(304);
      expect(seen.renamed.status).toBe(412);
      expect([seen.missing.status, JSON.parse(seen.missing.body).code]).toEqual([404, 'not_found']);
      expect([seen.stranger.status, JSON.parse(seen.stranger.body).code]).toEqual([401, 'unauthorized']);
    });

    it('that is not on the list reads nothing and does nothing, even with a valid token', async () => {
      const page = await open('127.0.0.1');
      const { rows: before } = await stack.database.query('SELECT count(*)::int AS chats FROM chats');
      const seen = await page.evaluate(async ({ url, token }) => {
        const library: string = '@rejoinder/client';
        const { Rejoinder } = await import(library);
        const rejoinder = new Rejoinder({ baseUrl: url, token, retryForMs: 0 });
        const failed = async (promise: Promise<unknown>): Promise<string> =>
          promise.then(
            () => 'it was let in',
            (error: Error) => error.name,
          );
        const headers = { authorization: `Bearer ${token}` };
        const client = rejoinder.openChat('billing').catch((error: Error) => `${error.name}: ${error.message}`);
        return {
          client: await client,
          read: await failed(fetch(`${url}/api/v1/chats`, { headers })),
          // Requests that a browser sends without a preflight.
          simple: await failed(fetch(`${url}/api/v1/chats`)),
          form: await failed(fetch(`${url}/api/v1/assistants/billing/chats`, { method: 'POST', body: '{}' })),
          blind: (await fetch(`${url}/api/v1/chats`, { mode: 'no-cors' }).catch(() => ({ type: 'refused' }))).type,
        };
      }, service());
      expect(seen).toEqual({
        // The browser tells the page no reason, so the client names the possible ones.
        client: expect.stringMatching(/^ConnectionError: .* CORS_ORIGINS does not name http:\/\/127\.0\.0\.1:\d+, /),
        read: 'TypeError',
        simple: 'TypeError',
        form: 'TypeError',
        // Not even an opaque answer, which a page might find a way to read.
        blind: 'refused',
      });
      const { rows: after } = await stack.database.query('SELECT count(*)::int AS chats FROM chats');
      expect(after).toEqual(before);
    });
  });

  describe('Swagger UI', () => {
    /** One page for these tests in turn, because it takes a second of work to begin. */
    let page: Page;
    let file: string;
    const complaints: string[] = [];
    const foreign: string[] = [];
    beforeAll(async () => {
      page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark' });
      page.setDefaultTimeout(PATIENCE_MS);
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('request', (request) => {
        if (!request.url().startsWith(stack.api.url) && !request.url().startsWith('data:')) foreign.push(request.url());
      });
      const response = page.waitForResponse((one) => one.url().endsWith('/openapi.yaml'));
      await page.goto(`${stack.api.url}/docs`);
      file = await (await response).text();
    });
    afterAll(() => page?.close());
    afterEach(() => {
      expect(complaints).toEqual([]);
      expect(foreign).toEqual([]);
    });
    /** Opens an operation, if it is not open yet. */
    const open = async (id: string): Promise<Locator> => {
      const operation = page.locator(`[id$="-${id}"]`);
      if (!(await operation.locator('.opblock-body').isVisible())) await operation.locator('.opblock-summary').click();
      return operation;
    };

    it('is dark when the system is, and changes with it', async () => {
      await page.locator('.opblock').first().waitFor();
      const background = (): Promise<unknown> =>
        page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
      expect(await background()).toBe('rgb(28, 32, 34)');
      expect(await page.locator('html.dark-mode').count()).toBe(1);
      await page.emulateMedia({ colorScheme: 'light' });
      await page.locator('html:not(.dark-mode)').waitFor();
      expect(await background()).toBe('rgb(250, 250, 250)');
    });

    it('shows the first operation on a laptop’s screen, in lines of readable length, with the general sections folded', async () => {
      const first = await page.locator('.opblock').first().boundingBox();
      expect((first?.y ?? Infinity) + (first?.height ?? 0)).toBeLessThan(768);
      const chapters = page.locator('details.more');
      expect(await chapters.locator('summary').allInnerTexts()).toEqual([
        'Events',
        'Tools',
        'Sending a request again',
        'Rules for all operations',
      ]);
      await chapters.first().locator('summary').click();
      await chapters.first().getByText('JobEventData').waitFor();
      await open('createTurn');
      const lines = page.locator('.markdown, .renderedMarkdown').locator('p, li');
      const widths = await lines.evaluateAll((all) => all.map((one) => one.getBoundingClientRect().width));
      expect(widths.length).toBeGreaterThan(20);
      expect(Math.max(...widths)).toBeLessThanOrEqual(44 * 16);

      await page.setViewportSize({ width: 390, height: 844 });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
      await page.setViewportSize({ width: 1440, height: 900 });
    });

    it('shows the contract’s file, takes a token, and sends requests', async () => {
      expect(file).toBe(await readFile(CONTRACT_FILE, 'utf8'));
      await page.getByRole('button', { name: 'Authorize' }).first().click();
      await page.locator('.modal-ux input').fill(tokenFor('sam'));
      await page.locator('.modal-ux').getByRole('button', { name: 'Apply credentials' }).click();
      await page.locator('.modal-ux').getByRole('button', { name: 'Close' }).first().click();

      const execute = async (id: string, parameters: Record<string, string> = {}): Promise<string> => {
        const operation = await open(id);
        for (const [name, value] of Object.entries(parameters)) {
          await operation.locator(`tr[data-param-name="${name}"] input`).fill(value);
        }
        await operation.getByRole('button', { name: 'Execute' }).click();
        await operation.locator('.live-responses-table .response-col_status').first().waitFor();
        return operation.locator('.live-responses-table').first().innerText();
      };
      expect(await execute('listAssistants')).toMatch(/200[\s\S]*"slug": "billing"/);
      const opened = await execute('openChat', { slug: 'support' });
      expect(opened).toMatch(/201[\s\S]*"role": "system"/);
      const chatId = /"id": "([0-9a-f-]{36})"/.exec(opened)?.[1] ?? '';
      expect(await execute('createTurn', { chat_id: chatId })).toMatch(/200[\s\S]*"role": "assistant"/);
      if (process.env['SCREENSHOTS']) await page.screenshot({ path: `${process.env['SCREENSHOTS']}/swagger-ui.png` });
    });
  });
});
