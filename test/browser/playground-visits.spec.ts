import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { findChromium } from '../support/browser.js';
import { DESK, PHONE, Playground, slowly, type Visitor } from '../support/playground.js';
import { tokenFor } from '../support/stack.js';
import { until } from '../support/until.js';

/** With animations, which the other tests leave out. */
const MOVING = { reducedMotion: 'no-preference' } as const;

const withBrowser = findChromium() === undefined ? describe.skip : describe;

withBrowser('the playground, from the first visit on', () => {
  let playground: Playground;
  beforeAll(async () => {
    playground = await Playground.start();
  });
  afterEach(() => playground.clear());
  afterAll(() => playground.stop());

  it('leads from the first visit to a reply, without an error in the browser’s console', async () => {
    const ana = await playground.talking(MOVING);
    await ana.send('¿Cómo reinstalo el software?');
    await ana.reply('[Modelo de prueba] Has preguntado: «¿Cómo reinstalo el software?»');
    const [, asked, replied] = await playground.stored(ana);
    expect(asked.content).toBe('¿Cómo reinstalo el software?');
    // All of the text is shown, except list numbers and code fences, which have become markup.
    const lines = (text: string): string[] =>
      text.split(/\n+/).flatMap((line) => line.replace(/^\d+\. |^```/, '') || []);
    const shown = await ana.messages.last().locator('.prose').innerText();
    expect(lines(shown)).toEqual(lines(replied.content));
    const inspector = ana.page.getByRole('complementary', { name: 'Inspector' });
    expect(await inspector.innerText()).toMatch(
      new RegExp(
        `Queued[\\s\\S]*Running[\\s\\S]*Succeeded[\\s\\S]*First piece[\\s\\S]*end_turn[\\s\\S]*${replied.job_id}`,
      ),
    );
    expect(ana.complaints).toEqual([]);
  });

  it('can be used from the first visit to a reply with only a keyboard', async () => {
    const { page, ...ben } = await playground.visit();
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
    // The link past the lists, and the way back from a dialog.
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

  it('takes a pasted token if a secret is set, and says what is wrong with a bad one', async () => {
    const eva = await playground.visit({ url: playground.stack.api.url });
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
    await eva.pick('Support');
    await eva.send('hello');
    await eva.reply('[Stand-in model]');
    // The tab keeps it, and nothing else does.
    await eva.page.reload();
    await eva.reply('[Stand-in model]');
    expect(await eva.page.evaluate(`JSON.stringify(localStorage)`)).not.toContain('eyJ');
  });

  it('says when the service is away, loses no typed text, and recovers by itself', async () => {
    const xia = await playground.talking();
    await xia.send('before');
    await xia.reply('before');
    await xia.field.fill('after it went away');
    await playground.api.kill();
    await xia.field.press('Enter');
    await xia.sees('The service does not answer. Trying again…');
    await xia.sees('Sending…');
    await xia.picture('away');
    // The message is taken back, changed, and sent after all.
    await xia.page.getByRole('button', { name: 'Stop the reply' }).click();
    await until(async () => (await xia.field.inputValue()) === 'after it went away', 'what was typed');
    await xia.send('after it came back');
    await playground.again();
    await xia.reply('after it came back');
    await xia.page.getByText('The service does not answer').waitFor({ state: 'detached' });
    expect((await playground.stored(xia)).filter(({ role }) => role === 'user').map(({ content }) => content)).toEqual([
      'before',
      'after it came back',
    ]);
  });

  it('in development, signs in again by itself when its token is refused', async () => {
    const yan = await playground.talking();
    await yan.send('before');
    await yan.reply('before');
    await playground.api.stop();
    // With another secret, earlier tokens are invalid.
    await rm(playground.dataDir, { recursive: true, force: true });
    await playground.again();
    await yan.send('and after');
    await yan.reply('and after');
  });

  it('asks for another token when a pasted one is refused, and loses no typed text', async () => {
    // The last test that needs the secret of this API.
    const own = playground.stack.api;
    const zoe = await playground.visit({ url: own.url });
    const signIn = async (secret?: string) => {
      await zoe.page.getByRole('textbox', { name: 'Bearer token' }).fill(tokenFor('zoe', {}, secret));
      await zoe.page.getByRole('button', { name: 'Sign in' }).click();
    };
    await signIn();
    await zoe.pick('Support');
    await zoe.field.fill('half a thou');
    const { port } = new URL(own.url);
    await own.stop();
    const another = 'another secret for tests that is long enough';
    await playground.stack.startApi({ PORT: port, JWT_SECRET: another });
    await zoe.field.press('Enter');
    await zoe.sees('Your token is no longer accepted');
    await zoe.picture('expired');
    await signIn(another);
    await until(async () => (await zoe.field.inputValue()) === 'half a thou', 'what was typed');
    await zoe.field.press('Enter');
    await zoe.reply('half a thou');
  });

  it('switches users, and shows each only their own chats', async () => {
    const tia = await playground.talking();
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
    // A user who has signed out stays signed out.
    await tia.page.reload();
    await tia.page.getByRole('textbox', { name: 'User name' }).waitFor();
  });

  it('keeps a user signed out who left while a token was on its way', async () => {
    const roy = await playground.talking();
    const { page } = roy;
    let given = (): void => undefined;
    const answer = new Promise<void>((resolve) => (given = resolve));
    await page.route('**/playground/token', async (route) => {
      await answer;
      await route.continue();
    });
    await page.route('**/api/v1/**', (route) =>
      route.fulfill({ status: 401, json: { code: 'unauthorized', message: 'no', request_id: 'none' } }),
    );
    const asked = page.waitForRequest('**/playground/token');
    await roy.lookAgain();
    await asked;
    await page.getByRole('button', { name: 'Account and appearance' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    const response = page.waitForResponse('**/playground/token');
    given();
    await (await response).finished();
    await page.getByRole('textbox', { name: 'User name' }).waitFor();
    expect(await page.evaluate(`sessionStorage.getItem('rejoinder:token')`)).toBeNull();
  });

  it.each([
    ['desktop', { ...DESK, ...MOVING }],
    ['phone', { ...PHONE, ...MOVING }],
  ])('is accessible on a %s, in light and dark', async (place, how) => {
    const barriers: Record<string, string[]> = {};
    const look = async (visitor: Visitor, what: string): Promise<void> => {
      await visitor.picture(`${place}-${what}`);
      barriers[what] = await visitor.barriers();
    };
    const stranger = await playground.visit({ url: playground.stack.api.url, ...how });
    await stranger.page.getByRole('button', { name: 'Sign in' }).click();
    await stranger.sees('Paste a token first.');
    await look(stranger, 'sign-in');

    const guest = await playground.visit(how);
    await guest.page.getByRole('main').getByRole('button', { name: 'Support' }).waitFor();
    await look(guest, 'landing');
    await guest.pick('Support');
    await playground.stack.model.script('at length', slowly());
    await guest.field.fill('at length');
    await guest.page.getByRole('button', { name: 'Send' }).click();
    await guest.sees('word9 ');
    await look(guest, 'writing');
    await guest.page.getByRole('button', { name: 'Stop the reply' }).click();
    await guest.reply('Stopped');
    await playground.stack.model.script('impossible', {
      status: 400,
      error_type: 'invalid_request_error',
      message: 'no',
    });
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

  it('stands still for users who prefer that, and is light or dark by choice', async () => {
    const una = await playground.talking({ reducedMotion: 'reduce', colorScheme: 'dark' });
    await playground.stack.model.script('at length', slowly());
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
