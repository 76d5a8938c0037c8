import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { findChromium, startBrowser } from '../support/browser.js';
import { Client } from '../support/client.js';
import { type VisitOptions, Visitor } from '../support/playground.js';
import type { App } from '../support/processes.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

const withBrowser = findChromium() === undefined ? describe.skip : describe;

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const DESK = { viewport: { width: 1280, height: 900 } };

withBrowser('the playground', () => {
  let stack: Stack;
  let browser: Browser;
  let dataDir: string;
  /** The API with the secret of development: the page signs in by itself. */
  let api: App;
  const visitors: Visitor[] = [];
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-playground-'));
    [stack, browser] = await Promise.all([startStack(), startBrowser()]);
    api = await stack.startApi({ JWT_SECRET: '', DATA_DIR: dataDir });
  });
  afterEach(async () => {
    await Promise.all(visitors.splice(0).map((visitor) => visitor.leave()));
    await stack.model.clearScripts();
  });
  afterAll(async () => {
    await browser.close();
    await stack.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const visit = async (options: VisitOptions & { readonly url?: string } = {}): Promise<Visitor> => {
    const { url = api.url, ...how } = options;
    const visitor = await Visitor.open(browser, url, { ...DESK, ...how });
    visitors.push(visitor);
    return visitor;
  };
  /** A visitor with a chat open. */
  const talking = async (options: VisitOptions = {}): Promise<Visitor> => {
    const visitor = await visit(options);
    await visitor.pick('Soporte');
    await visitor.sees('¡Hola!');
    return visitor;
  };
  /** The same user, on the service itself. */
  const as = async ({ user }: { user: string }): Promise<Client> => {
    const response = await fetch(`${api.url}/playground/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user }),
    });
    return new Client(api.url, ((await response.json()) as { token: string }).token);
  };
  const stored = async (visitor: Visitor): Promise<any[]> =>
    (await (await as(visitor)).get(`/api/v1/chats/${visitor.chatId}/messages?limit=100`)).body.data;
  /** A reply of many words, slowly. */
  const slowly = (words: number, ms = 50): object => ({
    pieces: Array.from({ length: words }, (_, n) => `word${n} `),
    piece_delay_ms: ms,
  });

  it('leads from the first visit to a reply, and the browser has nothing to complain of', async () => {
    const ana = await talking();
    await ana.send('¿Cómo reinstalo el software?');
    await ana.reply('[Modelo de prueba] Has preguntado: «¿Cómo reinstalo el software?»');
    const [, asked, replied] = await stored(ana);
    expect(asked.content).toBe('¿Cómo reinstalo el software?');
    expect(await ana.messages.last().locator('.prose').innerText()).toBe(replied.content);
    const inspector = ana.page.getByRole('complementary', { name: 'Inspector' });
    expect(await inspector.innerText()).toMatch(
      new RegExp(
        `Queued[\\s\\S]*Running[\\s\\S]*Succeeded[\\s\\S]*First piece[\\s\\S]*end_turn[\\s\\S]*${replied.job_id}`,
      ),
    );
    expect(ana.complaints).toEqual([]);
  });

  it('can be used from the first visit to a reply with nothing but a keyboard', async () => {
    const { page, ...ben } = await visit();
    await page.getByRole('heading', { name: 'Who would you like to talk to?' }).waitFor();
    await page.getByRole('button', { name: 'General' }).first().waitFor();
    const focused = () => page.evaluate<string>(`document.activeElement.textContent`);
    for (let n = 0; n < 20 && !(await focused()).startsWith('GGeneral'); n++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await until(() => page.evaluate<boolean>(`document.activeElement.id === 'message'`), 'the focus in the field');
    await page.keyboard.type('one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('two');
    await page.keyboard.press('Enter');
    await page.getByText('[Stand-in model]').first().waitFor();
    await page.getByText('Details').waitFor();
    expect(await page.evaluate(`document.activeElement.id`)).toBe('message');
    // The way past the lists, and back out of what opens above the page.
    for (let n = 0; n < 40 && !(await focused()).startsWith('Skip'); n++) await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(`document.activeElement.id`)).toBe('message');
    await page.getByRole('button', { name: 'Close for good' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await page.evaluate(`document.activeElement.ariaLabel`)).toBe('Close for good');
    expect(ben.complaints).toEqual([]);
  });

  it('takes a pasted token where a secret is set, and says what is wrong with another', async () => {
    const eva = await visit({ url: stack.api.url });
    const token = eva.page.getByRole('textbox', { name: 'Bearer token' });
    await token.fill('nonsense');
    await eva.page.getByRole('button', { name: 'Sign in' }).click();
    await eva.sees('This is not a token');
    await token.fill(tokenFor('eva', { exp: 1 }));
    await eva.page.getByRole('button', { name: 'Sign in' }).click();
    await eva.sees('This token has expired');
    expect(eva.complaints).toEqual([]);
    await token.fill(tokenFor('eva', {}, 'not the secret of this service, but long enough'));
    await eva.page.getByRole('button', { name: 'Sign in' }).click();
    await eva.sees('Your token is no longer accepted');
    await token.fill(` Bearer ${tokenFor('eva')}\n`);
    await eva.page.getByRole('button', { name: 'Sign in' }).click();
    await eva.pick('Soporte');
    await eva.send('hello');
    await eva.reply('[Stand-in model]');
    // It is kept for the tab, and for no longer.
    await eva.page.reload();
    await eva.reply('[Stand-in model]');
    expect(await eva.page.evaluate(`JSON.stringify(localStorage)`)).not.toContain('eyJ');
  });

  it('goes on after a reload in mid-reply, and ends with the text that is stored', async () => {
    const ida = await talking();
    await stack.model.script('at length', slowly(50));
    await ida.send('at length');
    await ida.sees('word5 ');
    await ida.page.reload();
    await ida.sees('word8 ');
    expect(await ida.page.getByRole('button', { name: 'Stop the reply' }).isVisible()).toBe(true);
    await ida.reply('word49');
    const replied = (await stored(ida)).at(-1);
    expect(await ida.messages.last().locator('.prose p').textContent()).toBe(replied.content);
    expect(replied.content).toMatch(/^word0 word1 .* word49 $/);
    expect(ida.complaints).toEqual([]);
  });

  it('stops a reply, and keeps what there is of it, marked', async () => {
    const kim = await talking();
    await stack.model.script('stop me', slowly(400));
    await kim.send('stop me');
    await kim.sees('word3 ');
    await kim.page.getByRole('button', { name: 'Stop the reply' }).click();
    await kim.reply(/word3 [\s\S]*Stopped/);
    const replied = (await stored(kim)).at(-1);
    expect([replied.status, replied.stop_reason]).toEqual(['incomplete', 'canceled']);
    expect(await kim.messages.last().locator('.prose p').textContent()).toBe(replied.content);
    await kim.send('and now?');
    await kim.reply('and now?');
  });

  it('shows in a second tab what happens in the first, while it happens', async () => {
    const leo = await talking();
    const second = await leo.tab();
    await second.sees('¡Hola!');
    await stack.model.script('in two places', slowly(150));
    await leo.send('in two places');
    await leo.sees('word2 ');
    await second.lookAgain();
    await second.sees('word4 ');
    // And what is done in the second is seen in the first.
    await second.page.getByRole('button', { name: 'Stop the reply' }).click();
    await Promise.all([leo.reply('Stopped'), second.reply('Stopped')]);
    expect(await second.messages.allInnerTexts()).toEqual(await leo.messages.allInnerTexts());
    expect([...leo.complaints, ...second.complaints]).toEqual([]);
  });

  it('gives back what was sent into a turn of somewhere else, and follows that turn', async () => {
    const mia = await talking();
    await stack.model.script('elsewhere', slowly(40));
    await (await as(mia)).turnAsync(mia.chatId, 'elsewhere');
    await mia.send('too late');
    await mia.sees('The chat has a turn in progress.');
    await until(async () => (await mia.field.inputValue()) === 'too late', 'what was typed');
    await mia.sees('word3 ');
    await mia.reply('word39');
    await mia.field.press('Enter');
    await mia.reply('too late');
  });

  it('reads older messages as one scrolls up, to the first, and nothing moves for it', async () => {
    const ned = await talking();
    await stack.database.query(
      `INSERT INTO messages (id, chat_id, seq, role, content)
       SELECT gen_random_uuid(), $1, n, 'user', 'message ' || n || E'\\n' || repeat('and more of it ', n % 17) FROM generate_series(2, 220) AS n`,
      [ned.chatId],
    );
    await stack.database.query('UPDATE chats SET last_seq = 220 WHERE id = $1', [ned.chatId]);
    await ned.page.reload();
    await ned.messages.filter({ hasText: 'message 220' }).waitFor();
    const history = ned.page.getByRole('region', { name: 'History' });
    const atTheEnd = () => history.evaluate((one) => one.scrollHeight - one.scrollTop - one.clientHeight < 2);
    expect(await atTheEnd()).toBe(true);
    const count = () => ned.page.locator('li[id^=m-]').count();

    let moved = 0;
    for (let shown = await count(); shown < 220;) {
      // In one frame: what is seen first, where, and a step up that has the page fetch what is above.
      const seen = await history.evaluate((scroller) => {
        scroller.scrollTop = 300;
        const { top } = scroller.getBoundingClientRect();
        const first = [...scroller.querySelectorAll('.bubble')].find((one) => one.getBoundingClientRect().top > top);
        return { id: first?.closest('li')?.id ?? '', top: first?.getBoundingClientRect().top ?? 0 };
      });
      shown = await until(async () => {
        const now = await count();
        return now > shown && now;
      }, 'older messages');
      const now = await ned.page
        .locator(`[id="${seen.id}"] .bubble`)
        .evaluate((one) => one.getBoundingClientRect().top);
      moved = Math.max(moved, Math.abs(now - seen.top));
    }
    expect(moved).toBeLessThan(2);
    await history.evaluate((one) => (one.scrollTop = 0));
    await ned.sees('The beginning of the chat');
    expect(await count()).toBe(220);

    // Whoever reads further up is left there, whatever comes; one click leads to the end.
    await (await as(ned)).turn(ned.chatId, 'while you read');
    await ned.lookAgain();
    await ned.messages.filter({ hasText: '[Stand-in model]' }).waitFor();
    expect(await history.evaluate((one) => one.scrollTop)).toBe(0);
    await ned.page.getByRole('button', { name: 'To the newest' }).click();
    expect(await atTheEnd()).toBe(true);
    expect(ned.complaints).toEqual([]);
  });

  it('gets the reply by polling, too, and never asks for a stream then', async () => {
    const oda = await talking();
    await oda.page.getByRole('radio', { name: 'Polling' }).check();
    const asked: string[] = [];
    oda.page.on('request', (request) => {
      asked.push(`${request.headers()['accept']} ${new URL(request.url()).pathname}`);
    });
    await oda.send('by and by');
    await oda.reply('by and by');
    const job = (await stored(oda)).at(-1).job_id as string;
    expect(asked.filter((line) => line.includes('event-stream') || line.endsWith('/events'))).toEqual([]);
    expect(asked).toContain(`application/json /api/v1/jobs/${job}`);
    await oda.page.reload();
    expect(await oda.page.getByRole('radio', { name: 'Polling' }).isChecked()).toBe(true);
  });

  it('changes between the two ways in mid-reply', async () => {
    const pia = await talking();
    await stack.model.script('both ways', slowly(50));
    await pia.send('both ways');
    await pia.sees('word3 ');
    await pia.page.getByRole('radio', { name: 'Polling' }).check();
    await pia.page.getByRole('radio', { name: 'Streaming' }).check();
    await pia.sees('word20 ');
    await pia.page.getByRole('radio', { name: 'Polling' }).check();
    await pia.reply('word49');
    expect(pia.complaints).toEqual([]);
  });

  it('archives, reopens and closes, and begins another chat', async () => {
    const uma = await talking();
    const first = uma.chatId;
    const button = (name: string) => uma.page.getByRole('region', { name: /^Chat with/ }).getByRole('button', { name });
    await button('Archive').click();
    await uma.sees('This chat is archived.');
    await button('Reopen').first().click();
    await uma.field.waitFor();
    await button('Close for good').click();
    await uma.page.getByRole('dialog').getByRole('button', { name: 'Keep it open' }).click();
    await uma.field.waitFor();
    await button('Close for good').click();
    await uma.page.getByRole('dialog').getByRole('button', { name: 'Close for good' }).click();
    await uma.sees('This chat is closed. That is final.');
    expect((await (await as(uma)).get(`/api/v1/chats/${first}`)).body.status).toBe('closed');
    await button('New chat').last().click();
    await uma.field.waitFor();
    expect(uma.chatId).not.toBe(first);
    await uma.page.goBack();
    await uma.sees('This chat is closed.');
    expect(uma.complaints).toEqual([]);
  });

  it('says why a turn failed, also after a reload, and asks again without saying the words twice', async () => {
    const vic = await talking();
    await stack.model.script('impossible', { status: 400, error_type: 'invalid_request_error', message: 'no' }, 1);
    await vic.send('impossible');
    await vic.sees('model_rejected');
    await vic.page.reload();
    await vic.sees('model_rejected');
    await vic.page.getByRole('button', { name: 'Try again' }).click();
    await vic.reply('[Stand-in model]');
    expect((await stored(vic)).map(({ role }) => role)).toEqual(['system', 'user', 'assistant']);
  });

  it('tells of an attempt that was lost, and shows nothing of its text', async () => {
    const wim = await talking();
    await stack.model.script('twice', { pieces: ['lost ', 'words ', 'all '], piece_delay_ms: 200, cut_after: 2 }, 1);
    await stack.model.script('twice', slowly(30));
    await wim.send('twice');
    await wim.sees('lost words');
    await wim.sees('Started over: attempt 2');
    await wim.reply(/^(?!.*lost)[\s\S]*word29/);
  });

  it('says when the service is away, loses nothing that was typed, and recovers by itself', async () => {
    const own = await stack.startApi({ JWT_SECRET: '', DATA_DIR: dataDir });
    const xia = await visit({ url: own.url });
    await xia.pick('Soporte');
    await xia.send('before');
    await xia.reply('before');
    await xia.field.fill('after it went away');
    await own.kill();
    await xia.field.press('Enter');
    await xia.sees('The service does not answer. Trying again…');
    await xia.sees('Sending…');
    await xia.picture('away');
    // Taken back, changed, and sent all the same.
    await xia.page.getByRole('button', { name: 'Stop the reply' }).click();
    await until(async () => (await xia.field.inputValue()) === 'after it went away', 'what was typed');
    await xia.send('after it came back');
    const again = await stack.again(own);
    await xia.reply('after it came back');
    await xia.page.getByText('The service does not answer').waitFor({ state: 'detached' });
    expect((await stored(xia)).filter(({ role }) => role === 'user').map(({ content }) => content)).toEqual([
      'before',
      'after it came back',
    ]);
    await again.stop();
  });

  it('signs in anew by itself in development when its token is refused', async () => {
    const theirs = await mkdtemp(join(tmpdir(), 'rejoinder-playground-'));
    const own = await stack.startApi({ JWT_SECRET: '', DATA_DIR: theirs });
    const yan = await visit({ url: own.url });
    await yan.pick('Soporte');
    await yan.send('before');
    await yan.reply('before');
    await own.stop();
    // Another secret: what it signed before counts for nothing.
    await rm(theirs, { recursive: true, force: true });
    const again = await stack.again(own);
    await yan.send('and after');
    await yan.reply('and after');
    await again.stop();
    await rm(theirs, { recursive: true, force: true });
  });

  it('asks for another token when a pasted one is refused, and nothing typed is lost', async () => {
    const own = await stack.startApi();
    const zoe = await visit({ url: own.url });
    const signIn = async (secret?: string) => {
      await zoe.page.getByRole('textbox', { name: 'Bearer token' }).fill(tokenFor('zoe', {}, secret));
      await zoe.page.getByRole('button', { name: 'Sign in' }).click();
    };
    await signIn();
    await zoe.pick('Soporte');
    await zoe.field.fill('half a thou');
    const { port } = new URL(own.url);
    await own.stop();
    const another = 'another secret for tests that is long enough';
    const again = await stack.startApi({ PORT: port, JWT_SECRET: another });
    await zoe.field.press('Enter');
    await zoe.sees('Your token is no longer accepted');
    await zoe.picture('expired');
    await signIn(another);
    await until(async () => (await zoe.field.inputValue()) === 'half a thou', 'what was typed');
    await zoe.field.press('Enter');
    await zoe.reply('half a thou');
    await again.stop();
  });

  it('shows whatever is written as what it is: markup, code, long words, emoji, right to left', async () => {
    const rex = await talking();
    const written = [
      '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script>',
      '```js\nconst a = "<b>";\n```',
      'x'.repeat(3_000),
      '👩‍👩‍👧‍👦 🏳️‍🌈 ñandú',
      'שלום, מה שלומך?',
    ].join('\n\n');
    await stack.model.script('שלום', { text: written });
    await rex.send(written);
    await rex.reply('שלום');
    expect(await rex.page.title()).not.toBe('taken');
    expect(await rex.page.locator('.prose img, .prose script').count()).toBe(0);
    expect(await rex.messages.last().locator('pre').innerText()).toBe('const a = "<b>";');
    // Nothing sticks out, on a phone either.
    for (const width of [1280, 390]) {
      await rex.page.setViewportSize({ width, height: 844 });
      const out = await rex.page
        .getByRole('region', { name: 'History' })
        .evaluate((one) => one.scrollWidth - one.clientWidth);
      expect([width, out]).toEqual([width, 0]);
    }
    // Whoever was at the end is there, however wide it is.
    await rex.page.getByRole('button', { name: 'To the newest' }).waitFor({ state: 'detached' });
    await rex.picture('whatever');
    expect(rex.complaints).toEqual([]);
  });

  it('says what is wrong with a message that is too long, before it is sent', async () => {
    const sue = await talking();
    await sue.field.fill('x'.repeat(32_001));
    await sue.sees('32,001 of 32,000 characters');
    expect(await sue.page.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true);
    await sue.field.fill(`${'x'.repeat(31_999)}👍`);
    expect(await sue.page.getByRole('button', { name: 'Send' }).isEnabled()).toBe(true);
  });

  it('switches users, and shows nobody another’s chats', async () => {
    const tia = await talking();
    const theirs = tia.page.url();
    await tia.page.getByRole('button', { name: 'Account and appearance' }).click();
    await tia.page.getByRole('textbox', { name: 'User name' }).fill('somebody else');
    await tia.page.getByRole('button', { name: 'Continue' }).click();
    await tia.sees('Who would you like to talk to?');
    await tia.sees('None yet.');
    await tia.page.goto(theirs);
    await tia.sees('There is no such chat');
    await tia.page.getByRole('button', { name: 'Account and appearance' }).click();
    await tia.page.getByRole('button', { name: 'Sign out' }).click();
    await tia.page.getByRole('textbox', { name: 'User name' }).waitFor();
    // Whoever signed out stays so.
    await tia.page.reload();
    await tia.page.getByRole('textbox', { name: 'User name' }).waitFor();
  });

  it.each([
    ['desktop', 'light', DESK],
    ['desktop', 'dark', DESK],
    ['phone', 'light', PHONE],
    ['phone', 'dark', PHONE],
  ] as const)('keeps nobody out: on a %s, %s', async (place, colorScheme, how) => {
    const barriers: Record<string, string[]> = {};
    const name = (what: string) => `${place}-${colorScheme}-${what}`;
    const look = async (visitor: Visitor, what: string): Promise<void> => {
      await visitor.picture(name(what));
      barriers[what] = await visitor.barriers();
    };
    const stranger = await visit({ url: stack.api.url, colorScheme, ...how });
    await stranger.page.getByRole('button', { name: 'Sign in' }).click();
    await stranger.sees('Paste a token first.');
    await look(stranger, 'sign-in');

    const guest = await visit({ colorScheme, ...how });
    await guest.page.getByRole('main').getByRole('button', { name: 'Soporte' }).waitFor();
    await look(guest, 'landing');
    await guest.pick('Soporte');
    await stack.model.script('at length', slowly(400));
    await guest.field.fill('at length');
    await guest.page.getByRole('button', { name: 'Send' }).click();
    await guest.sees('word20 ');
    await look(guest, 'writing');
    await guest.page.getByRole('button', { name: 'Stop the reply' }).click();
    await guest.reply('Stopped');
    await stack.model.script('impossible', { status: 400, error_type: 'invalid_request_error', message: 'no' });
    await guest.field.fill('impossible');
    await guest.page.getByRole('button', { name: 'Send' }).click();
    await guest.sees('model_rejected');
    await look(guest, 'failed');
    if (place === 'phone') {
      await guest.page.getByRole('button', { name: 'Inspector' }).click();
      await look(guest, 'inspector');
      await guest.page.keyboard.press('Escape');
      await guest.page.getByRole('button', { name: 'Assistants and chats' }).click();
      await look(guest, 'rail');
    }
    await guest.page.getByRole('button', { name: 'Account and appearance' }).click();
    await look(guest, 'account');
    expect(barriers).toEqual(Object.fromEntries(Object.keys(barriers).map((what) => [what, []])));
  });

  it('stands still for whoever wants that, and is light or dark as one likes', async () => {
    const una = await talking({ reducedMotion: 'reduce', colorScheme: 'dark' });
    await stack.model.script('at length', slowly(400));
    await una.send('at length');
    await una.sees('word3 ');
    const moving = () =>
      una.page.evaluate(`document.getAnimations().filter((one) => one.playState === 'running').length`);
    expect(await moving()).toBe(0);
    const ground = () => una.page.evaluate(`getComputedStyle(document.body).backgroundColor`);
    const dark = await ground();
    await una.page.getByRole('button', { name: 'Account and appearance' }).click();
    await una.page.getByRole('radio', { name: 'Light' }).check();
    expect(await ground()).not.toBe(dark);
    await una.page.reload();
    expect(await ground()).not.toBe(dark);
    await una.page.getByRole('button', { name: 'Stop the reply' }).click();
    await una.reply('Stopped');
  });
});
