import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { findChromium } from '../support/browser.js';
import { PHONE, Playground, type Visitor } from '../support/playground.js';
import { clientTool, giveTools, httpTool, startTools, type Tools } from '../support/tools.js';
import { until } from '../support/until.js';

const withBrowser = findChromium() === undefined ? describe.skip : describe;

const TOOLS_SECRET = `whsec_${Buffer.from('a secret of the tools for tests!').toString('base64')}`;

/** A schema of which the page makes a form. */
const BOOKING = {
  type: 'object',
  required: ['day', 'people', 'table'],
  properties: {
    day: { type: 'string', format: 'date', title: 'Day', pattern: '^2026-' },
    people: { type: 'integer', title: 'People', minimum: 1 },
    table: { enum: ['inside', 'outside'], title: 'Table' },
    quiet: { type: 'boolean', title: 'Quiet', description: 'Far from the kitchen.' },
    note: { type: 'string', title: 'Note' },
  },
};

/** States of a call in the history, and their words. */
const STATES = [
  ['succeeded', 'Done'],
  ['failed', 'Failed'],
  ['denied', 'Denied'],
  ['canceled', 'Canceled'],
  ['expired', 'Expired'],
  ['dreaming', 'dreaming'],
] as const;

const HOSTILE = '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script>';

withBrowser('the playground, with tools', () => {
  let playground: Playground;
  let tools: Tools;
  beforeAll(async () => {
    [playground, tools] = await Promise.all([Playground.start({ TOOLS_SECRET }), startTools()]);
    await giveTools(playground.stack, 'support', [
      httpTool(tools, 'find_order', { repeatable: true }),
      httpTool(tools, 'refund_order', { approval: 'always' }),
      clientTool('book_table', { result_schema: BOOKING }),
      clientTool('ask_person', { result_schema: { anyOf: [{ type: 'array' }, { type: 'object' }] } }),
    ]);
  });
  afterEach(() => playground.clear());
  afterAll(async () => {
    await tools.stop();
    await playground.stop();
  });

  /** The row of a tool call, of the newest one with that name. */
  const row = ({ page }: Visitor, name: string) => page.locator('details.call').filter({ hasText: name }).last();
  const card = ({ page }: Visitor, name: string) =>
    page.getByRole('region', { name: new RegExp(`^${name} needs your`) });
  /** On a phone, Enter makes a new line. */
  const typed = async ({ page, field }: Visitor, text: string) => {
    await field.fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  };
  const focused = ({ page }: Visitor) =>
    page.evaluate<string>(`document.activeElement.id || document.activeElement.textContent`);
  const asking = ({ page }: Visitor) => page.evaluate<boolean>(`document.activeElement.matches('.asking')`);

  it('shows a call while it runs and afterwards, folded, with its state in words, and keeps what is unfolded', async () => {
    const ana = await playground.talking();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    tools.answer('find_order', async ({ input }) => {
      await held;
      return { order: input['order_id'], state: 'delivered' };
    });
    await ana.send('use find_order {"order_id":"4711"}');
    const call = row(ana, 'find_order');
    await call.filter({ hasText: 'Running' }).waitFor();
    expect(await call.getAttribute('open')).toBeNull();
    await call.locator('summary').focus();
    await ana.page.keyboard.press('Enter');
    await call.getByText('"order_id": "4711"').waitFor();
    release();
    await ana.reply('delivered');
    // The reply has moved into the history, and the row is still open.
    expect(await call.locator('summary').innerText()).toMatch(/find_order\s*Done[\s\S]*\d (ms|s)/);
    expect(await call.locator('pre').last().innerText()).toBe('{\n  "order": "4711",\n  "state": "delivered"\n}');
    await ana.sees('Tool calls');
    await ana.picture('tools-done');
    expect(await ana.barriers()).toEqual([]);
    await ana.page.reload();
    await ana.reply('delivered');
    expect(await call.locator('summary').innerText()).toMatch(/find_order\s*Done/);
    await call.locator('summary').click();
    await call.getByText('"state": "delivered"').waitFor();
    expect(ana.complaints).toEqual([]);
  });

  it('asks for an approval where a keyboard finds it, and gives the focus back to the composer', async () => {
    const ben = await playground.talking();
    await ben.send('use refund_order {"order_id":"1"}');
    await card(ben, 'refund_order').waitFor();
    await until(() => asking(ben), 'the focus on the question');
    expect(await ben.page.locator('[aria-live="polite"]').innerText()).toBe(
      'The tool refund_order needs your approval.',
    );
    await ben.sees(/^Waiting since .* for your approval of refund_order, at most until .*, /);
    await ben.picture('tools-approval');
    expect(await ben.barriers()).toEqual([]);
    // A key that was meant for the composer approves nothing.
    await ben.page.keyboard.press('Enter');
    for (let n = 0; n < 6 && !/^\s*Approve/.test(await focused(ben)); n++) await ben.page.keyboard.press('Tab');
    expect(tools.requests.filter(({ name }) => name === 'refund_order')).toEqual([]);
    await ben.page.keyboard.press('Enter');
    await ben.reply('refund_order done');
    expect(await focused(ben)).toBe('message');
    expect(await row(ben, 'refund_order').innerText()).toMatch(/Done/);
    expect(ben.complaints).toEqual([]);
  });

  it('leaves the focus to somebody who types, and denies with a reason that the model gets', async () => {
    const cyd = await playground.talking();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    tools.answer('find_order', async () => (await held, 'found'));
    await cyd.send('use find_order then use refund_order');
    await row(cyd, 'find_order').filter({ hasText: 'Running' }).waitFor();
    await cyd.field.fill('half a thou');
    release();
    await card(cyd, 'refund_order').waitFor();
    expect(await focused(cyd)).toBe('message');
    await cyd.page.getByRole('button', { name: 'Show' }).click();
    expect(await asking(cyd)).toBe(true);
    await cyd.page.getByRole('button', { name: 'Deny…' }).click();
    await cyd.page.keyboard.type('Too dear.');
    await cyd.picture('tools-denial');
    await cyd.page.keyboard.press('Enter');
    await cyd.reply(/denied/i);
    expect(await cyd.field.inputValue()).toBe('half a thou');
    expect(await focused(cyd)).toBe('message');
    const call = row(cyd, 'refund_order');
    expect(await call.innerText()).toMatch(/Denied/);
    await call.locator('summary').click();
    await call.getByText('Too dear.').waitFor();
    const replied = (await playground.stored(cyd)).at(-1);
    expect(replied.parts.at(-2).tool_call).toMatchObject({ status: 'denied', reason: 'Too dear.' });
    expect(cyd.complaints).toEqual([]);
  });

  it.each([
    ['desktop', { viewport: { width: 1440, height: 900 } }],
    ['phone', PHONE],
  ])('makes a form of a simple schema on a %s, and shows what the service refuses beside it', async (place, how) => {
    const dan = await playground.talking(how);
    await typed(dan, 'use book_table');
    const form = card(dan, 'book_table');
    await form.waitFor();
    await form.getByRole('button', { name: 'Send the answer' }).click();
    expect(await form.getByRole('alert').allInnerTexts()).toEqual([
      'This is needed.',
      'This is needed.',
      'Choose one.',
    ]);
    await form.getByLabel('Day').fill('2027-01-02');
    await form.getByLabel('People').fill('two');
    await form.getByLabel('Table').selectOption('outside');
    await form.getByRole('button', { name: 'Send the answer' }).click();
    await form.getByText('A whole number is needed.').waitFor();
    await form.getByLabel('People').fill('2');
    await form.getByRole('button', { name: 'Send the answer' }).click();
    // The service's own check.
    await form.getByText(/^Must match pattern/).waitFor();
    expect(await form.getByLabel('Day').getAttribute('aria-invalid')).toBe('true');
    await dan.picture(`tools-form-${place}`);
    expect(await dan.barriers()).toEqual([]);
    const history = dan.page.getByRole('region', { name: 'History' });
    expect(await history.evaluate((one) => one.scrollWidth - one.clientWidth)).toBe(0);
    await form.getByLabel('Day').fill('2026-12-01');
    await form.getByLabel(/^Quiet/).selectOption('Yes');
    await form.getByRole('button', { name: 'Send the answer' }).click();
    await dan.reply('2026-12-01');
    const replied = (await playground.stored(dan)).at(-1);
    const { tool_call: call } = replied.parts.find(({ type }: { type: string }) => type === 'tool_call');
    expect(JSON.parse(call.result)).toEqual({ day: '2026-12-01', people: 2, table: 'outside', quiet: true });
    await dan.picture(`tools-answered-${place}`);
    // Each refusal of the service is on the browser's console.
    expect(dan.complaints).toEqual([expect.stringContaining('422')]);
  });

  it('takes JSON where a form would not do, and an error instead of a result', async () => {
    const eve = await playground.talking();
    await eve.send('use ask_person');
    const form = card(eve, 'ask_person');
    await form.getByLabel('Your answer').fill('just words');
    await form.getByRole('button', { name: 'Send the answer' }).click();
    await form.getByText(/^The value must be array/).waitFor();
    await form.getByLabel('Your answer').fill('[1, {"two": 3}]');
    await form.getByRole('button', { name: 'Send the answer' }).click();
    await eve.reply('two');
    await eve.send('use ask_person');
    await form.getByRole('button', { name: 'I can’t…' }).click();
    await eve.page.keyboard.press('Enter');
    await form.getByText('Write a few words.').waitFor();
    await eve.page.keyboard.type('Nobody is in.');
    await eve.page.keyboard.press('Enter');
    await eve.reply('Nobody is in.');
    expect(await row(eve, 'ask_person').innerText()).toMatch(/Failed/);
  });

  it.each(['stream', 'poll'])('says when somebody else was quicker, and goes on (%s)', async (mode) => {
    const fay = await playground.talking();
    await fay.page.getByRole('radio', { name: mode === 'poll' ? 'Polling' : 'Streaming' }).check();
    const client = await playground.as(fay);
    // Just before the page's own decision arrives.
    await fay.page.route('**/tool-calls/*', async (route) => {
      await client.patch(new URL(route.request().url()).pathname, { decision: 'deny', reason: 'Not today.' });
      await route.continue();
    });
    await fay.send('use refund_order');
    await card(fay, 'refund_order').getByRole('button', { name: 'Approve' }).click();
    await fay.sees('Somebody else was quicker. The tool call is denied.');
    await fay.reply(/denied/i);
    const call = row(fay, 'refund_order');
    expect(await call.innerText()).toMatch(/Denied/);
    await call.locator('summary').click();
    await call.getByText('Not today.').waitFor();
    await fay.page.getByRole('radio', { name: 'Streaming' }).check();
    expect(fay.complaints).toEqual([expect.stringContaining('409')]);
  });

  it('shows a waiting call again after a reload, and ends the turn on demand', async () => {
    const gus = await playground.talking();
    tools.answer('find_order', () => 'found');
    await gus.send('use find_order and refund_order and refund_order');
    await card(gus, 'refund_order').nth(1).waitFor();
    await gus.page.reload();
    await card(gus, 'refund_order').nth(1).waitFor();
    await row(gus, 'find_order').filter({ hasText: 'Done' }).waitFor();
    await gus.sees(/^Waiting since .* for you: refund_order and 1 more, at most until /);
    await until(() => asking(gus), 'the focus on a question');
    await gus.picture('tools-several');
    // From one question to the next.
    await card(gus, 'refund_order').first().getByRole('button', { name: 'Approve' }).click();
    await card(gus, 'refund_order').nth(1).waitFor({ state: 'detached' });
    await until(() => asking(gus), 'the focus on the other question');
    await gus.page.getByRole('button', { name: 'Stop the reply' }).click();
    await gus.reply('Stopped');
    expect(await row(gus, 'refund_order').innerText()).toMatch(/Canceled/);
    await gus.send('never mind');
    await gus.reply('never mind');
    expect(gus.complaints).toEqual([]);
  });

  it('shows names, inputs, results and sources of strangers as text, within bounds', async () => {
    const hal = await playground.talking(PHONE);
    const long = `${HOSTILE} \u202Egnp.exe \u0000\u001B[31m https://evil.example/ ${'x'.repeat(65_000)}`;
    tools.answer('find_order', () => long);
    await typed(hal, `use find_order ${JSON.stringify({ order_id: `${HOSTILE}\u202Eevil`, [HOSTILE]: 1 })}`);
    await hal.reply('find_order');
    const call = row(hal, 'find_order');
    await call.locator('summary').click();
    const [input, result] = [call.locator('pre').first(), call.locator('pre').last()];
    expect(await input.innerText()).toContain('⟨U+202E⟩evil');
    const shown = await result.innerText();
    expect(shown).toContain(`${HOSTILE} ⟨U+202E⟩gnp.exe`);
    expect(shown).toContain('⟨U+001B⟩[31m https://evil.example/');
    expect((await result.boundingBox())?.height).toBeLessThan(400);
    expect(await call.locator('a, img, script').count()).toBe(0);
    // A hostile name, sources, and a part of a later contract.
    const id = (await playground.stored(hal)).at(-1).id as string;
    const { rows } = await playground.stack.database.query('SELECT parts FROM messages WHERE id = $1', [id]);
    const { tool_call: stored } = rows[0].parts.find(({ type }: { type: string }) => type === 'tool_call');
    const name = `${HOSTILE}\u202E${'n'.repeat(300)}`;
    const parts = [
      ...rows[0].parts,
      { type: 'tool_call', tool_call: { ...stored, id: '01936d3c-8410-7b2c-9d3e-5f6071829304', name } },
      ...STATES.map(([status], n) => ({
        type: 'tool_call',
        tool_call: { ...stored, id: `01936d3c-8410-7b2c-9d3e-5f607182931${n}`, name: `tool_${status}`, status },
      })),
      { type: 'text', text: 'مرحبا, it says so.' },
      { type: 'source', url: 'https://example.com/a?b=1', title: `${HOSTILE} \u202Eeltit` },
      { type: 'source', url: 'javascript:document.title="taken"', title: 'A script' },
      { type: 'source', url: 'https://example.org/', title: null },
      { type: 'dance', steps: 3 },
    ];
    await playground.stack.database.query('UPDATE messages SET parts = $2 WHERE id = $1', [id, JSON.stringify(parts)]);
    await hal.page.reload();
    await hal.reply('it says so.');
    expect(await hal.page.locator('.call-state').allInnerTexts()).toEqual([
      'Done',
      'Done',
      ...STATES.map(([, words]) => words),
    ]);
    const sources = hal.page.getByRole('list', { name: 'Sources' });
    expect(
      await sources
        .getByRole('link')
        .evaluateAll((all) => all.map((one) => ['href', 'target', 'rel'].map((name) => one.getAttribute(name)))),
    ).toEqual([
      ['https://example.com/a?b=1', '_blank', 'noopener noreferrer nofollow'],
      ['https://example.org/', '_blank', 'noopener noreferrer nofollow'],
    ]);
    expect(await sources.getByRole('listitem').nth(1).innerText()).toBe('A script');
    await hal.page.locator('details.call summary').nth(1).click();
    await hal.picture('tools-hostile');
    expect(await hal.barriers()).toEqual([]);
    const history = hal.page.getByRole('region', { name: 'History' });
    const overflow = () => history.evaluate((one) => one.scrollWidth - one.clientWidth);
    expect(await overflow()).toBe(0);
    await hal.page.evaluate(`document.documentElement.dir = 'rtl'`);
    await hal.picture('tools-rtl');
    // The marker of a list may reach a pixel over the edge.
    expect(await overflow()).toBeLessThanOrEqual(1);
    expect(await hal.page.title()).not.toBe('taken');
    expect(hal.complaints).toEqual([]);
  });
});
