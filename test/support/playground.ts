import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';

/** How to look at the page. */
export interface VisitOptions extends BrowserContextOptions {
  /** Who is signed in from the start, in development; a new user unless told. */
  readonly user?: string;
  /** Further tabs of an earlier visitor. */
  readonly context?: BrowserContext;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let visitors = 0;

/** A visitor of the playground, with eyes for what the browser complains of. */
export class Visitor {
  /** Errors on the console, thrown, or of the Content-Security-Policy; and requests to elsewhere. */
  readonly complaints: string[] = [];

  private constructor(
    readonly page: Page,
    readonly user: string,
  ) {}

  static async open(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visitor> {
    const { user = `visitor-${(visitors += 1)}`, context, ...how } = options;
    const page = await (context ?? (await browser.newContext(how))).newPage();
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

  /** Picks an assistant where there is no chat open yet. */
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
    return this.page.getByRole('list', { name: 'Messages' }).getByRole('listitem');
  }

  /** The chat that is open, by its address. */
  get chatId(): string {
    return /#\/chats\/([\w-]+)$/.exec(this.page.url())?.[1] ?? '';
  }

  /** Waits until the newest message shows `text` and nothing is being written any more. */
  async reply(text: string | RegExp): Promise<void> {
    await this.messages.last().filter({ hasText: text }).filter({ hasText: 'Details' }).waitFor();
  }

  /** Waits for something to be read anywhere on the page. */
  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** The page looks by itself every few seconds; or when one comes back to it. */
  async lookAgain(): Promise<void> {
    await this.page.evaluate(`dispatchEvent(new Event('focus'))`);
  }

  /** What stands in the way of some readers: axe's serious and critical findings. */
  async barriers(): Promise<string[]> {
    await this.settled();
    await this.page.evaluate(AXE);
    return this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: AxeFinding[] }> } };
      const { violations } = await axe.run();
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
    });
  }

  /** Keeps what is seen, where somebody asked for pictures. */
  async picture(name: string): Promise<void> {
    const directory = process.env['SCREENSHOTS'];
    if (!directory) return;
    await this.settled();
    await this.page.screenshot({ path: `${directory}/playground-${name}.png` });
  }

  /** What moves in is half transparent, and has no contrast yet: it is moved to its end. */
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
