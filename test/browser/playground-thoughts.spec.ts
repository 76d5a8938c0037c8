import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { findChromium } from '../support/browser.js';
import { PHONE, Playground, type Visitor } from '../support/playground.js';
import { said, showReasoning, thoughts, words } from '../support/reasoning.js';
import { giveTools, httpTool, startTools, type Tools } from '../support/tools.js';
import { until } from '../support/until.js';

const withBrowser = findChromium() === undefined ? describe.skip : describe;

const TOOLS_SECRET = `whsec_${Buffer.from('a secret of the tools for tests!').toString('base64')}`;
const HOSTILE =
  '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script> [a](javascript:1) \u202Egnp';

withBrowser('the playground, with an assistant that shows its reasoning', () => {
  let playground: Playground;
  let tools: Tools;
  beforeAll(async () => {
    [playground, tools] = await Promise.all([Playground.start({ TOOLS_SECRET }), startTools()]);
    await giveTools(playground.stack, 'support', [httpTool(tools, 'find_order', { repeatable: true })]);
    await showReasoning(playground.stack, 'support');
  });
  afterEach(() => playground.clear());
  afterAll(async () => {
    await tools.stop();
    await playground.stop();
  });

  const row = ({ page }: Visitor) => page.locator('details.thoughts');
  const body = ({ page }: Visitor) => page.getByRole('group', { name: 'The model’s thoughts' });
  const typed = async ({ page, field }: Visitor, text: string) => {
    await field.fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  };

  it('shows thoughts folded while the model thinks, lets a keyboard unfold them, and keeps them so in the history', async () => {
    const ana = await playground.talking();
    await playground.stack.model.script('a riddle', {
      blocks: [thoughts(words(100), 50), said('It is 42.')],
      piece_delay_ms: 50,
    });
    await ana.send('a riddle');
    await row(ana).getByText('Thinking…').waitFor();
    expect(await row(ana).getAttribute('open')).toBeNull();
    expect(await body(ana).count()).toBe(0);
    // The row says it, so the three dots do not.
    expect(await ana.page.locator('.live .thinking').count()).toBe(0);
    await row(ana).locator('summary').focus();
    await ana.page.keyboard.press('Enter');
    await body(ana).getByText('thought 9 😀').waitFor();
    await ana.picture('thoughts-live');
    expect(await ana.barriers()).toEqual([]);
    await ana.reply('It is 42.');
    expect(await row(ana).locator('summary').innerText()).toBe('Thought for a while');
    expect(await body(ana).innerText()).toBe(words(100));
    await ana.picture('thoughts-done');
    expect(await ana.barriers()).toEqual([]);
    await ana.page.reload();
    await ana.reply('It is 42.');
    await row(ana).locator('summary').click();
    expect(await body(ana).innerText()).toBe(words(100));
    expect(ana.complaints).toEqual([]);
  });

  it('shows each step’s thoughts before its calls, also after a reload in mid-turn', async () => {
    const ben = await playground.talking();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    tools.answer('find_order', async () => {
      await held;
      return 'found';
    });
    await ben.send('use find_order');
    const order = () =>
      ben.page
        .locator('.message.assistant')
        .last()
        .locator('.parts > *')
        .evaluateAll((all) => all.map(({ className }) => className.split(' ')[0]));
    const live = ['thoughts', 'live-text', 'calls', 'thinking'];
    await until(async () => (await order()).join() === live.join(), 'the call');
    await ben.page.reload();
    await until(async () => (await order()).join() === live.join(), 'the call, after a reload');
    release();
    await ben.reply('found');
    expect(await order()).toEqual(['thoughts', 'prose', 'calls', 'thoughts', 'prose']);
    expect(ben.complaints).toEqual([]);
  });

  it('forgets thoughts that were lost with their worker', async () => {
    const cyd = await playground.talking();
    await playground.stack.model.script('lost', { blocks: [thoughts(words(600, 'lost'), 50), said('x')] }, 1);
    await playground.stack.model.script('lost', { blocks: [thoughts('Again.', 300), said('Here.')] });
    await cyd.send('lost');
    await row(cyd).locator('summary').click();
    await body(cyd).getByText('lost 9').waitFor();
    await playground.stack.workers.pop()?.kill();
    playground.stack.workers.push(await playground.stack.startWorker());
    await cyd.reply('Here.');
    expect(await body(cyd).innerText()).toBe('Again.');
    expect(await cyd.page.getByText('lost 9').count()).toBe(0);
  });

  it('shows thoughts of strangers as text, within bounds, on a phone', async () => {
    const dan = await playground.talking(PHONE);
    const long = `${HOSTILE}\n\n**bold**\n\n${'y'.repeat(500)} ${words(9_000)}`;
    const citation = { type: 'web_search_result_location', url: 'https://example.com/a', title: HOSTILE };
    await playground.stack.model.script('hostile', {
      blocks: [thoughts(long), { ...said('Fine.'), citations: [citation] }],
    });
    await typed(dan, 'hostile');
    await dan.reply('Fine.');
    await row(dan).locator('summary').click();
    const shown = await body(dan).innerText();
    expect(shown.startsWith(HOSTILE.replace('\u202E', '⟨U+202E⟩'))).toBe(true);
    expect(shown).toContain('**bold**');
    expect(shown).toMatch(/more characters are not shown\.$/);
    expect((await body(dan).boundingBox())?.height).toBeLessThan(400);
    expect(await row(dan).locator('a, img, script').count()).toBe(0);
    await dan.page.getByRole('list', { name: 'Sources' }).getByRole('link').waitFor();
    await dan.picture('thoughts-hostile');
    expect(await dan.barriers()).toEqual([]);
    const history = dan.page.getByRole('region', { name: 'History' });
    expect(await history.evaluate((one) => one.scrollWidth - one.clientWidth)).toBe(0);
    expect(await dan.page.title()).not.toBe('taken');
    expect(dan.complaints).toEqual([]);
  });
});
