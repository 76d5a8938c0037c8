import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { PATIENCE_MS, startBrowser } from './browser.js';
import { Client } from './client.js';
import type { App } from './processes.js';
import { type Stack, startStack } from './stack.js';

export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
export const DESK = { viewport: { width: 1280, height: 900 } };

/** A reply of many words with this pause between them. With two thousand words, no test waits for the end. */
export const slowly = (words = 2_000, ms = 100): object => ({
  pieces: Array.from({ length: words }, (_, n) => `word${n} `),
  piece_delay_ms: ms,
});

/** A stack, a browser, and the playground's visitors. */
export class Playground {
  private readonly visitors: Visitor[] = [];

  private constructor(
    readonly stack: Stack,
    private readonly browser: Browser,
    /** The API with the development secret: the page signs in by itself. */
    readonly api: App,
    readonly dataDir: string,
  ) {}

  static async start(): Promise<Playground> {
    const dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-playground-'));
    const [stack, browser] = await Promise.all([startStack(), startBrowser()]);
    return new Playground(stack, browser, await stack.startApi({ JWT_SECRET: '', DATA_DIR: dataDir }), dataDir);
  }

  async visit(options: VisitOptions & { readonly url?: string } = {}): Promise<Visitor> {
    const { url = this.api.url, ...how } = options;
    const visitor = await Visitor.open(this.browser, url, { ...DESK, ...how });
    this.visitors.push(visitor);
    return visitor;
  }

  /** A visitor with a chat open. */
  async talking(options: VisitOptions = {}): Promise<Visitor> {
    const visitor = await this.visit(options);
    await visitor.pick('Support');
    await visitor.sees('Hello!');
    return visitor;
  }

  /** A client of the API for the same user. */
  async as({ user }: { user: string }): Promise<Client> {
    const response = await fetch(`${this.api.url}/playground/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user }),
    });
    return new Client(this.api.url, ((await response.json()) as { token: string }).token);
  }

  async stored(visitor: Visitor): Promise<any[]> {
    return (await (await this.as(visitor)).get(`/api/v1/chats/${visitor.chatId}/messages?limit=100`)).body.data;
  }

  /** Closes all visitors' pages and removes all scripts. */
  async clear(): Promise<void> {
    await Promise.all(this.visitors.splice(0).map((visitor) => visitor.leave()));
    await this.stack.model.clearScripts();
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await this.stack.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Options of a visit. */
export interface VisitOptions extends BrowserContextOptions {
  /** The user who is signed in from the start, in development. Left out: a new user. */
  readonly user?: string;
  /** Further tabs of an earlier visitor. */
  readonly context?: BrowserContext;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let visitors = 0;

/** A visitor of the playground, who notes the browser's complaints. */
export class Visitor {
  /** Errors on the console, uncaught errors, violations of the Content-Security-Policy, and requests to other hosts. */
  readonly complaints: string[] = [];

  private constructor(
    readonly page: Page,
    readonly user: string,
  ) {}

  static async open(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visitor> {
    const { user = `visitor-${(visitors += 1)}`, context, ...how } = options;
    const page = await (context ?? (await browser.newContext(how))).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const visitor = new Visitor(page, user);
    const { complaints } = visitor;
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(url).origin)) complaints.push(`a request to ${request.url()}`);
    });
    await page.addInitScript(
      `if (localStorage.getItem('rejoinder:user') === null) localStorage.setItem('rejoinder:user', ${JSON.stringify(user)})`,
    );
    await page.goto(url);
    return visitor;
  }

  /** A second tab of the same visitor. */
  async tab(): Promise<Visitor> {
    return Visitor.open(this.page.context().browser() as Browser, this.page.url(), {
      user: this.user,
      context: this.page.context(),
    });
  }

  /** Picks an assistant if no chat is open. */
  async pick(name: string): Promise<void> {
    await this.page.getByRole('main').getByRole('button', { name }).click();
    await this.field.waitFor();
  }

  async send(text: string): Promise<void> {
    await this.field.fill(text);
    await this.field.press('Enter');
  }

  get field(): Locator {
    return this.page.getByRole('textbox', { name: /^Your message/ });
  }

  get messages(): Locator {
    // Not all list items: a reply may have some, too.
    return this.page.getByRole('list', { name: 'Messages' }).locator('> li');
  }

  /** The id of the open chat, from the page's address. */
  get chatId(): string {
    return /#\/chats\/([\w-]+)$/.exec(this.page.url())?.[1] ?? '';
  }

  /** Waits until the newest message shows `text` and no reply is in progress. */
  async reply(text: string | RegExp): Promise<void> {
    await this.messages.last().filter({ hasText: text }).filter({ hasText: 'Details' }).waitFor();
    // The reply arrives a little before its job is final.
    await this.page.getByRole('button', { name: 'Stop the reply' }).waitFor({ state: 'detached' });
  }

  /** Hides the page behind another one, or shows it again. */
  async hide(isHidden: boolean): Promise<void> {
    await this.page.evaluate(
      `Object.defineProperty(document, 'visibilityState', { value: '${isHidden ? 'hidden' : 'visible'}', configurable: true });
       document.dispatchEvent(new Event('visibilitychange'))`,
    );
  }

  /** Waits until the text stands anywhere on the page. */
  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** The page updates by itself every few seconds, or when it is shown again. */
  async lookAgain(): Promise<void> {
    await this.page.evaluate(`dispatchEvent(new Event('focus'))`);
  }

  /** Accessibility faults, in light or in dark: axe's serious and critical findings. */
  async barriers(): Promise<string[]> {
    if (!(await this.page.evaluate<boolean>(`'axe' in globalThis`))) await this.page.evaluate(AXE);
    const found: string[] = [];
    for (const colorScheme of ['dark', 'light'] as const) {
      await this.page.emulateMedia({ colorScheme });
      await this.settled();
      // Only colours depend on the scheme.
      found.push(...(await this.findings(colorScheme === 'dark' ? ['color-contrast'] : undefined)));
    }
    return found;
  }

  private findings(rules: string[] | undefined): Promise<string[]> {
    return this.page.evaluate(async (only) => {
      const { axe } = globalThis as unknown as {
        axe: { run(options: object): Promise<{ violations: AxeFinding[] }> };
      };
      const { violations } = await axe.run({ resultTypes: ['violations'], ...(only && { runOnly: only }) });
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
    }, rules);
  }

  /** Takes a picture of the page, if the run is to take pictures. */
  async picture(name: string): Promise<void> {
    const directory = process.env['SCREENSHOTS'];
    if (!directory) return;
    for (const colorScheme of ['dark', 'light'] as const) {
      await this.page.emulateMedia({ colorScheme });
      await this.settled();
      await this.page.screenshot({ path: `${directory}/playground-${name}-${colorScheme}.png` });
    }
  }

  /** Ends animations first: an element that moves in is half transparent and lacks contrast. */
  private async settled(): Promise<void> {
    await this.page.evaluate(
      `for (const one of document.getAnimations()) one.effect.getTiming().iterations === Infinity ? one.cancel() : one.finish()`,
    );
  }

  async leave(): Promise<void> {
    await this.page.context().close();
  }
}

interface AxeFinding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}
