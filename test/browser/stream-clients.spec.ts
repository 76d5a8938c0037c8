import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { ROOT } from '#process/root.js';
import type { Fault } from '../support/bad-line.js';
import { findChromium, PATIENCE_MS, startBrowser } from '../support/browser.js';
import { asking, hardTurn, type HardTurn, QUESTION, type Setting } from '../support/hard-turn.js';
import { linesUnder } from '../support/page-lines.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

const run = promisify(execFile);
const withBrowser = findChromium() === undefined ? describe.skip : describe;

/**
 * The first connection also carries the requests before the stream. After a cut, one answer is lost, one is cut again, and one ends in
 * order.
 */
const FAULTS: readonly Fault[] = [{ cutAfter: 5_500 }, { loseAnswer: true }, { cutAfter: 3_300 }, { endAfter: 2_600 }];

const CLIENTS = ['@microsoft/fetch-event-source', 'event-source-polyfill', 'eventsource', 'fetch'];

/** The example of docs/clients.md for each client, with the packages that it imports, as a module for a browser. */
async function bundled(): Promise<ReadonlyMap<string, string>> {
  const project = await mkdtemp(join(tmpdir(), 'rejoinder-page-'));
  try {
    await symlink(join(ROOT, 'node_modules'), join(project, 'node_modules'));
    const files = await Promise.all(
      CLIENTS.map(async (client, n) => {
        const headings = ['In JavaScript, before all others', `\`${client}\``];
        const lines = await Promise.all(headings.map((heading) => linesUnder('docs/clients.md', heading)));
        const setting = 'const { service, token, chat, show } = globalThis.setting;';
        await writeFile(join(project, `${n}.js`), [setting, ...lines].join('\n'));
        return `${n}.js`;
      }),
    );
    // Rolldown as a library refuses objects made within Jest, so it runs as a program.
    const rolldown = join(ROOT, 'node_modules/rolldown/bin/cli.mjs');
    await run(process.execPath, [rolldown, ...files, '--platform=browser', '--dir=out'], { cwd: project });
    const codes = await Promise.all(files.map((file) => readFile(join(project, 'out', file), 'utf8')));
    return new Map(CLIENTS.map((client, n) => [client, codes[n] ?? '']));
  } finally {
    await rm(project, { recursive: true, force: true });
  }
}

withBrowser('in a browser, the examples of docs/clients.md show a reply once, over a line that breaks', () => {
  let stack: Stack;
  let browser: Browser;
  let modules: ReadonlyMap<string, string>;
  let site: Server;
  let origin: string;
  beforeAll(async () => {
    site = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>'));
    site.listen(0, '127.0.0.1');
    await once(site, 'listening');
    origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    [stack, browser, modules] = await Promise.all([
      startStack({ env: { CORS_ORIGINS: origin } }),
      startBrowser(),
      bundled(),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    site.close();
    await stack?.stop();
  });

  const opened = async (): Promise<Page> => {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(`${origin}/`);
    await page.evaluate(() => Object.assign(globalThis, { shown: [] }));
    return page;
  };
  const shownOn = (page: Page): Promise<string[]> =>
    page.evaluate(() => (globalThis as unknown as { shown: string[] }).shown);
  /** Waits until this many texts were shown, or this one. */
  const untilShown = (page: Page, enough: number | string): Promise<unknown> =>
    page.waitForFunction(
      (until) => {
        const { shown } = globalThis as unknown as { shown: string[] };
        return typeof until === 'number' ? shown.length >= until : shown.at(-1) === until;
      },
      enough,
      { polling: 50 },
    );
  const setHidden = (page: Page, hidden: boolean): Promise<void> =>
    page.evaluate((is) => {
      const { document } = globalThis as unknown as { document: EventTarget };
      Object.defineProperty(document, 'hidden', { value: is, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);

  /** Makes a page show a reply. `follow` resolves once it has all of it. */
  const show = async (
    name: string,
    follow: (page: Page, turn: HardTurn) => Promise<void>,
    faults: readonly Fault[] = FAULTS,
  ): Promise<void> => {
    const turn = await hardTurn(stack, `browser with ${name}`, (n) => faults[n]);
    const page = await opened();
    try {
      await follow(page, turn);
      expect(await turn.faultsOf(await shownOn(page))).toEqual([]);
      expect(turn.line.connections).toBeGreaterThanOrEqual(faults.length);
    } finally {
      await page.close();
      turn.line.close();
    }
  };
  const runLines = async (page: Page, { service, token, chat }: Setting, code = ''): Promise<void> => {
    await page.evaluate(
      (setting) => {
        const { shown } = globalThis as unknown as { shown: string[] };
        Object.assign(globalThis, { setting: { ...setting, show: (text: string) => shown.push(text) } });
      },
      { service, token, chat },
    );
    await page.addScriptTag({ type: 'module', content: code });
  };
  /** Resolves once the page that runs this client's example has shown the reply. */
  const followByLines = async (
    page: Page,
    turn: HardTurn,
    name: string,
    changed = (code: string): string => code,
  ): Promise<void> => {
    await runLines(page, turn, changed(turn.asked(modules.get(name) ?? '')));
    await untilShown(page, turn.reply);
  };
  const showByLines = (name: string): Promise<void> => show(name, (page, turn) => followByLines(page, turn, name));

  it.concurrent('@microsoft/fetch-event-source', () => showByLines('@microsoft/fetch-event-source'));
  it.concurrent('@microsoft/fetch-event-source, which sends the turn again when its tab becomes visible', () =>
    show(
      'tabs',
      async (page, turn) => {
        const asItComes = (code: string): string => code.replace('openWhenHidden: true', 'openWhenHidden: false');
        const followed = followByLines(page, turn, '@microsoft/fetch-event-source', asItComes);
        for (const enough of [5, 20]) {
          await untilShown(page, enough);
          await setHidden(page, true);
          await new Promise((resolve) => setTimeout(resolve, 200));
          await setHidden(page, false);
        }
        await followed;
      },
      [],
    ),
  );
  it.concurrent('@microsoft/fetch-event-source, which asks only once when it is refused', async () => {
    const page = await opened();
    let asked = 0;
    page.on('request', (request) => (asked += request.method() === 'POST' ? 1 : 0));
    const refused = page.waitForEvent('pageerror');
    const setting = { service: stack.api.url, token: tokenFor('stranger'), chat: randomUUID(), asked: asking('hello') };
    await runLines(page, setting, modules.get('@microsoft/fetch-event-source'));
    expect((await refused).message).toBe('no: 404');
    // It would try again after a second.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(asked).toBe(1);
    await page.close();
  });
  it.concurrent('event-source-polyfill', () => showByLines('event-source-polyfill'));
  it.concurrent('eventsource', () => showByLines('eventsource'));
  it.concurrent('fetch', () => showByLines('fetch'));

  it.concurrent('Swagger UI, which shows the whole stream at its end, even when it is sent again', async () => {
    const user = stack.as('swagger');
    const { id: chat } = await user.chat();
    await stack.model.script('by hand', { pieces: ['uno, ', 'dos, ', 'tres'] });
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(`${stack.api.url}/docs`);
    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.locator('.modal-ux input').fill(tokenFor('swagger'));
    await page.locator('.modal-ux').getByRole('button', { name: 'Apply credentials' }).click();
    await page.locator('.modal-ux').getByRole('button', { name: 'Close' }).first().click();

    const turn = page.locator('[id$="-createTurn"]');
    await turn.locator('.opblock-summary').click();
    const fill = (name: string, value: string): Promise<void> =>
      turn.locator(`tr[data-param-name="${name}"] input`).fill(value);
    await fill('chat_id', chat);
    await fill('Idempotency-Key', 'by hand');
    await turn.locator('textarea').first().fill('{"user_message":"by hand"}');
    await turn.locator('.responses-wrapper select').first().selectOption('text/event-stream');
    const execute = async (): Promise<string> => {
      await turn.getByRole('button', { name: 'Execute' }).click();
      await turn.locator('.loading-container').waitFor({ state: 'detached' });
      return turn.locator('.live-responses-table').first().innerText();
    };
    await page.route('**/turns', async (route) => (await route.fetch(), route.abort('connectionreset')), { times: 1 });
    expect(await execute()).toContain('Failed to fetch');
    expect(await execute()).toMatch(
      /200[^]*"offset":0,"text":"uno, dos, tres"[^]*id: end\n[^]*idempotent-replayed: true/,
    );
    await fill('Last-Event-ID', '1.5');
    const rest = await execute();
    expect(rest).toMatch(/200[^]*"offset":5,"text":"dos, tres"[^]*id: end\n/);
    expect(rest).not.toContain('"offset":0');
    expect((await user.get(`/api/v1/chats/${chat}/messages`)).body.data).toHaveLength(3);
  });

  it.concurrent('its own EventSource, if it were let in: it reconnects after each cut, and not after the end', () =>
    show('EventSource', async (page, turn) => {
      const job = await stack.as('browser with EventSource').turnAsync(turn.chat, turn.asked(QUESTION));
      await page.setExtraHTTPHeaders({ authorization: `Bearer ${turn.token}` });
      const errors = await page.evaluate(async (url) => {
        const { shown, EventSource } = globalThis as unknown as { shown: string[]; EventSource: any };
        let text = '';
        const source = new EventSource(url);
        const on = (name: string, take: (data: any) => string): void =>
          source.addEventListener(name, ({ data }: MessageEvent) =>
            shown.push((text = take(JSON.parse(data as string)))),
          );
        on('delta', (data) => text + data.text);
        on('reset', () => '');
        on('message', (data) => data.content);
        return await new Promise<string[]>((resolve) => {
          const seen: string[] = [];
          source.addEventListener('error', (event: Event & { data?: string }) => {
            seen.push(event.data ?? (source.readyState === EventSource.CLOSED ? 'the end' : 'a break'));
            if (source.readyState === EventSource.CLOSED) resolve(seen);
          });
        });
      }, `${turn.service}/api/v1/jobs/${job.id}/events`);
      expect(errors).toEqual([...Array.from({ length: errors.length - 1 }, () => 'a break'), 'the end']);
    }),
  );
});
