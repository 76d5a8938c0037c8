import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, BrowserContextOptions, Disposable, Locator, Page } from 'playwright-core';
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
  /** A page that a visitor has left. Its browser has forgotten the visitor. */
  private vacant: Page | undefined;
  /** The visitor whose page is kept. */
  private guest: Visitor | undefined;

  private constructor(
    readonly stack: Stack,
    private readonly browser: Browser,
    /** The API with the development secret: the page signs in by itself. */
    public api: App,
    readonly dataDir: string,
  ) {}

  /** @param env settings of the apps */
  static async start(env: Record<string, string> = {}): Promise<Playground> {
    const dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-playground-'));
    const [stack, browser] = await Promise.all([startStack({ env }), startBrowser()]);
    return new Playground(stack, browser, await stack.startApi({ JWT_SECRET: '', DATA_DIR: dataDir }), dataDir);
  }

  async visit(options: VisitOptions & { readonly url?: string } = {}): Promise<Visitor> {
    const { url = this.api.url, ...how } = options;
    return this.watched(await Visitor.open(this.browser, url, { ...DESK, ...how }));
  }

  /** A visitor with a chat open. Without options, this is a new user on a page that is used again. */
  async talking(options?: VisitOptions): Promise<Visitor> {
    const visitor = options === undefined ? await this.anyone() : await this.visit(options);
    await visitor.pick('Support');
    await visitor.sees('Hello!');
    return visitor;
  }

  /** Starts the API again after it has ended. */
  async again(): Promise<void> {
    this.api = await this.stack.again(this.api);
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

  /** Lets all visitors leave and removes all scripts. */
  async clear(): Promise<void> {
    const { guest } = this;
    this.guest = undefined;
    const others = this.visitors.splice(0).filter((visitor) => visitor !== guest);
    await Promise.all([...others.map((visitor) => visitor.leave()), guest && this.keepPageOf(guest)]);
    await this.stack.model.clearScripts();
  }

  private async anyone(): Promise<Visitor> {
    const { vacant: page } = this;
    this.vacant = undefined;
    const visitor = page === undefined ? await this.visit() : this.watched(await Visitor.on(page, this.api.url));
    this.guest ??= visitor;
    return visitor;
  }

  private async keepPageOf(guest: Visitor): Promise<void> {
    this.vacant = await guest.vacate(this.api.url).catch(() => undefined);
    if (this.vacant === undefined) await guest.leave();
  }

  private watched(visitor: Visitor): Visitor {
    this.visitors.push(visitor);
    return visitor;
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
  private signIn: Disposable | undefined;

  private constructor(
    readonly page: Page,
    readonly user: string,
  ) {}

  /** Opens a page. It stands still unless `reducedMotion` says otherwise: a moving page is drawn 60 times a second. */
  static async open(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visitor> {
    const { user, context, ...how } = options;
    const page = await (context ?? (await browser.newContext({ reducedMotion: 'reduce', ...how }))).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    return Visitor.on(page, url, user);
  }

  /** A visitor on an open page whose browser knows no visitor. */
  static async on(page: Page, url: string, user = `visitor-${(visitors += 1)}`): Promise<Visitor> {
    const visitor = new Visitor(page, user);
    const { complaints } = visitor;
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(url).origin)) complaints.push(`a request to ${request.url()}`);
    });
    visitor.signIn = await page.addInitScript(
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
      const { violations } = await axe.run({
        resultTypes: ['violations'],
        selectors: false,
        ...(only && { runOnly: only }),
      });
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

  /** Leaves, and makes the browser forget this visitor. A page that stays costs less than half of a new one. @returns the page */
  async vacate(url: string): Promise<Page> {
    const { page } = this;
    const context = page.context();
    const tabs = context.pages().filter((one) => one !== page);
    await Promise.all(tabs.map((tab) => tab.close()));
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await this.signIn?.dispose();
    for (const event of ['console', 'pageerror', 'request', 'requestfailed', 'response'])
      page.removeAllListeners(event);
    // A page of the same origin, which stores nothing. The playground may store something until it is gone.
    await page.goto(`${url}/health/live`);
    await page.evaluate(`localStorage.clear(); sessionStorage.clear()`);
    await context.clearCookies();
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(DESK.viewport);
    return page;
  }
}

interface AxeFinding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}
