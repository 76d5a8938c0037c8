import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { findChromium } from '../support/browser.js';
import { PHONE, Playground, slowly } from '../support/playground.js';
import { until } from '../support/until.js';

const withBrowser = findChromium() === undefined ? describe.skip : describe;

withBrowser('the playground, in a chat', () => {
  let playground: Playground;
  beforeAll(async () => {
    playground = await Playground.start();
  });
  afterEach(() => playground.clear());
  afterAll(() => playground.stop());

  it('goes on after a reload in mid-reply, and ends with the text that is stored', async () => {
    const ida = await playground.talking();
    await playground.stack.model.script('at length', slowly());
    await ida.send('at length');
    await ida.sees('word5 ');
    await ida.page.reload();
    await ida.sees('word8 ');
    expect(await ida.page.getByRole('button', { name: 'Stop the reply' }).isVisible()).toBe(true);
    await ida.page.getByRole('button', { name: 'Stop the reply' }).click();
    await ida.reply('Stopped');
    const replied = (await playground.stored(ida)).at(-1);
    expect(await ida.messages.last().locator('.prose p').textContent()).toBe(replied.content.trimEnd());
    expect(replied.content).toMatch(/^word0 word1 .* word8 /);
    expect(ida.complaints).toEqual([]);
  });

  it('stops a reply, and keeps the text so far, marked', async () => {
    const kim = await playground.talking();
    await playground.stack.model.script('stop me', slowly());
    await kim.send('stop me');
    await kim.sees('word3 ');
    await kim.page.getByRole('button', { name: 'Stop the reply' }).click();
    await kim.reply(/word3 [\s\S]*Stopped/);
    const replied = (await playground.stored(kim)).at(-1);
    expect([replied.status, replied.stop_reason]).toEqual(['incomplete', 'canceled']);
    expect(await kim.messages.last().locator('.prose p').textContent()).toBe(replied.content.trimEnd());
    // The model never reported its tokens.
    expect(replied.usage.estimated).toBe(true);
    const { input_tokens: sent, output_tokens: written } = replied.usage;
    await kim.sees(`~${sent} in · ~${written} out`);
    await kim.send('and now?');
    await kim.reply('and now?');
  });

  it('shows in a second tab what happens in the first, while it happens', async () => {
    const leo = await playground.talking();
    const second = await leo.tab();
    await second.sees('Hello!');
    await playground.stack.model.script('in two places', slowly());
    await leo.send('in two places');
    await leo.sees('word2 ');
    await second.lookAgain();
    await second.sees('word4 ');
    // A change in the second tab also shows in the first.
    await second.page.getByRole('button', { name: 'Stop the reply' }).click();
    await Promise.all([leo.reply('Stopped'), second.reply('Stopped')]);
    expect(await second.messages.allInnerTexts()).toEqual(await leo.messages.allInnerTexts());
    expect([...leo.complaints, ...second.complaints]).toEqual([]);
  });

  it('gives back a message that met a turn from elsewhere, and follows that turn', async () => {
    const mia = await playground.talking();
    await playground.stack.model.script('elsewhere', slowly());
    await (await playground.as(mia)).turnAsync(mia.chatId, 'elsewhere');
    await mia.send('too late');
    await mia.sees('The chat has a turn in progress.');
    await until(async () => (await mia.field.inputValue()) === 'too late', 'what was typed');
    await mia.sees('word3 ');
    await mia.page.getByRole('button', { name: 'Stop the reply' }).click();
    await mia.reply('Stopped');
    await mia.field.press('Enter');
    await mia.reply('too late');
  });

  it('loads older messages as one scrolls up, to the first, and nothing moves', async () => {
    const ned = await playground.talking();
    await playground.stack.database.query(
      `INSERT INTO messages (id, chat_id, seq, role, content)
       SELECT gen_random_uuid(), $1, n, 'user', 'message ' || n || E'\\n' || repeat('and more of it ', n % 17) FROM generate_series(2, 220) AS n`,
      [ned.chatId],
    );
    await playground.stack.database.query('UPDATE chats SET last_seq = 220 WHERE id = $1', [ned.chatId]);
    await ned.page.reload();
    await ned.messages.filter({ hasText: 'message 220' }).waitFor();
    const history = ned.page.getByRole('region', { name: 'History' });
    const atTheEnd = () => history.evaluate((one) => one.scrollHeight - one.scrollTop - one.clientHeight < 2);
    expect(await atTheEnd()).toBe(true);
    const count = () => ned.page.locator('li[id^=m-]').count();

    let moved = 0;
    for (let shown = await count(); shown < 220;) {
      // In one frame: the first visible message, its place, and a step up that makes the page load more.
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

    // A reader further up stays there, whatever comes; one click leads to the end.
    await (await playground.as(ned)).turn(ned.chatId, 'while you read');
    await ned.lookAgain();
    await ned.messages.filter({ hasText: '[Stand-in model]' }).waitFor();
    expect(await history.evaluate((one) => one.scrollTop)).toBe(0);
    await ned.page.getByRole('button', { name: 'To the newest' }).click();
    expect(await atTheEnd()).toBe(true);
    expect(ned.complaints).toEqual([]);
  });

  it('gets the reply by polling, too, and then never asks for a stream', async () => {
    const oda = await playground.talking();
    await oda.page.getByRole('radio', { name: 'Polling' }).check();
    const asked: string[] = [];
    oda.page.on('request', (request) => {
      asked.push(`${request.headers()['accept']} ${new URL(request.url()).pathname}`);
    });
    await oda.send('by and by');
    await oda.reply('by and by');
    const job = (await playground.stored(oda)).at(-1).job_id as string;
    expect(asked.filter((line) => line.includes('event-stream') || line.endsWith('/events'))).toEqual([]);
    expect(asked).toContain(`application/json /api/v1/jobs/${job}`);
    await oda.page.reload();
    expect(await oda.page.getByRole('radio', { name: 'Polling' }).isChecked()).toBe(true);
  });

  it('changes between the two ways in mid-reply', async () => {
    const pia = await playground.talking();
    await playground.stack.model.script('both ways', slowly());
    await pia.send('both ways');
    await pia.sees('word3 ');
    await pia.page.getByRole('radio', { name: 'Polling' }).check();
    await pia.page.getByRole('radio', { name: 'Streaming' }).check();
    await pia.sees('word9 ');
    await pia.page.getByRole('radio', { name: 'Polling' }).check();
    await pia.page.getByRole('button', { name: 'Stop the reply' }).click();
    await pia.reply(/^(?=[\s\S]*word9 )[\s\S]*Stopped/);
    expect(pia.complaints).toEqual([]);
  });

  it('archives, reopens and closes, and begins another chat', async () => {
    const uma = await playground.talking();
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
    expect((await (await playground.as(uma)).get(`/api/v1/chats/${first}`)).body.status).toBe('closed');
    await button('New chat').last().click();
    await uma.field.waitFor();
    expect(uma.chatId).not.toBe(first);
    await uma.page.goBack();
    await uma.sees('This chat is closed.');
    expect(uma.complaints).toEqual([]);
  });

  it('can stop a reply in a chat that was archived meanwhile', async () => {
    const gus = await playground.talking();
    await playground.stack.model.script('put away', slowly());
    await gus.send('put away');
    await gus.sees('word3 ');
    await gus.page.getByRole('button', { name: 'Archive' }).click();
    await gus.sees('This chat is archived.');
    await gus.page.getByRole('button', { name: 'Stop the reply' }).click();
    await gus.reply('Stopped');
  });

  it('says why a turn failed, even after a reload, and asks again without repeating the message', async () => {
    const vic = await playground.talking();
    await playground.stack.model.script(
      'impossible',
      { status: 400, error_type: 'invalid_request_error', message: 'no' },
      1,
    );
    await vic.send('impossible');
    await vic.sees('model_rejected');
    await vic.sees('The model does not take this message. It may help to say it in other words.');
    await vic.page.reload();
    await vic.sees('model_rejected');
    await vic.page.getByRole('button', { name: 'Try again' }).click();
    await vic.reply('[Stand-in model]');
    expect((await playground.stored(vic)).map(({ role }) => role)).toEqual(['system', 'user', 'assistant']);
  });

  it.each([
    ['phone', PHONE],
    ['desktop', { viewport: { width: 1440, height: 900 } }],
  ])('says on a %s why a reply is incomplete, and what the model gets no more', async (place, how) => {
    const { model } = playground.stack;
    const amy = await playground.talking(how);
    const explanation = '<img src=x onerror=alert(1)> This could do <b>harm</b>.';
    const refusal = { stop_reason: 'refusal', stop_details: { category: 'cyber', explanation } };
    await model.script('too much', { text: 'As far as it goes', stop_reason: 'max_tokens' }, 1);
    await model.script('never', { empty_content: true, ...refusal }, 1);
    await model.script('half of it', { text: 'At first, one', ...refusal, stop_details: { category: 'bio' } }, 1);
    await model.script('no room', { text: 'So far', stop_reason: 'model_context_window_exceeded' }, 1);
    const ask = async (text: string): Promise<void> => {
      await amy.field.fill(text);
      await amy.page.getByRole('button', { name: 'Send' }).click();
    };
    await ask('too much');
    await amy.reply(/As far as it goes[^]*Cut off The reply has reached its greatest length\./);
    await ask('half of it');
    await amy.reply(/At first, one[^]*Refused The model refused to go on\. .?bio/);
    await ask('never');
    await amy.reply('Refused The model refused to answer.');
    // The model's words stay text, whatever they look like.
    expect(await amy.messages.last().locator('q').textContent()).toBe(explanation);
    expect(await amy.messages.last().locator('.prose, img, b').count()).toBe(0);
    await ask('no room');
    await amy.reply(/So far[^]*Cut off The chat left the model no room for more\./);

    // The refused turns are marked at once; the others are not.
    const marked = (): Promise<string[]> =>
      amy.messages.filter({ hasText: 'not sent to the model any more' }).locator('.unseen + *').allTextContents();
    const expected = ['half of it', 'At first, one', 'never', expect.stringContaining('refused to answer')];
    await until(async () => (await marked()).length === 4, 'the marks');
    expect(await marked()).toEqual(expected);
    await amy.picture(`${place}-incomplete`);
    expect(await amy.barriers()).toEqual([]);
    const fail = { status: 400, error_type: 'invalid_request_error', message: 'no' };
    await model.script('impossible', fail, 1);
    await ask('impossible');
    await amy.sees('It may help to say it in other words.');
    await amy.messages.filter({ hasText: 'impossible' }).filter({ hasText: 'not sent' }).waitFor();
    await amy.picture(`${place}-left-out`);
    expect(await amy.barriers()).toEqual([]);
    await amy.page.reload();
    await amy.messages.filter({ hasText: 'impossible' }).filter({ hasText: 'not sent' }).waitFor();
    expect(amy.complaints).toEqual([]);
  });

  it('says that an attempt was lost, and shows none of its text', async () => {
    const wim = await playground.talking();
    // Long enough to be seen, even on a busy machine.
    await playground.stack.model.script(
      'twice',
      { pieces: ['lost words ', 'all '], piece_delay_ms: 5_000, cut_after: 2 },
      1,
    );
    await playground.stack.model.script('twice', slowly(30, 20));
    await wim.send('twice');
    await wim.sees('lost words');
    await wim.sees('Started over: attempt 2');
    await wim.reply(/^(?!.*lost)[\s\S]*word29/);
  });

  it('shows whatever is written: markup, code, long words, emoji, right to left', async () => {
    const rex = await playground.talking();
    const written = [
      '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script>',
      '[click](javascript:document.title="taken") <a href="javascript:document.title=1">me</a> http://example.com/',
      '```js\nconst a = "<b>";\n```',
      'x'.repeat(3_000),
      '👩‍👩‍👧‍👦 🏳️‍🌈 ñandú',
      'שלום, מה שלומך?',
    ].join('\n\n');
    await playground.stack.model.script('שלום', { text: written });
    await rex.send(written);
    await rex.reply('שלום');
    expect(await rex.page.title()).not.toBe('taken');
    expect(await rex.page.locator('.prose img, .prose script').count()).toBe(0);
    // A link in a reply leads only where its author wrote.
    expect(await rex.page.locator('.prose a').evaluateAll((all) => all.map((one) => one.getAttribute('href')))).toEqual(
      ['http://example.com/'],
    );
    expect(await rex.messages.last().locator('pre').innerText()).toBe('const a = "<b>";');
    // Nothing is wider than the page, even on a phone.
    for (const width of [1280, 390]) {
      await rex.page.setViewportSize({ width, height: 844 });
      const out = await rex.page
        .getByRole('region', { name: 'History' })
        .evaluate((one) => one.scrollWidth - one.clientWidth);
      expect([width, out]).toEqual([width, 0]);
    }
    // A reader at the end is still there at each width.
    await rex.page.getByRole('button', { name: 'To the newest' }).waitFor({ state: 'detached' });
    await rex.picture('whatever');
    expect(rex.complaints).toEqual([]);
  });

  it('says that a message is too long before it is sent', async () => {
    const sue = await playground.talking();
    await sue.field.fill('x'.repeat(32_001));
    await sue.sees('32,001 of 32,000 characters');
    expect(await sue.page.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true);
    await sue.field.fill(`${'x'.repeat(31_999)}👍`);
    expect(await sue.page.getByRole('button', { name: 'Send' }).isEnabled()).toBe(true);
  });

  it('stops a reply even before the turn is accepted', async () => {
    const joe = await playground.talking();
    await playground.stack.model.script('at once', slowly());
    // A slow connection.
    let arrives = (): void => undefined;
    const arrived = new Promise<void>((resolve) => (arrives = resolve));
    await joe.page.route('**/turns', async (route) => {
      await arrived;
      await route.continue();
    });
    await joe.send('at once');
    await joe.sees('Sending…');
    await joe.page.getByRole('button', { name: 'Stop the reply' }).click();
    await joe.sees('Stopping…');
    arrives();
    await joe.sees(/^Stopped/);
    await until(
      async () => (await (await playground.as(joe)).get(`/api/v1/chats/${joe.chatId}`)).body.unfinished_job_id === null,
      'the end of the turn',
    );
    expect(await joe.field.inputValue()).toBe('');
    expect((await playground.stored(joe)).filter(({ role }) => role === 'user')).toHaveLength(1);
  });

  it('lets go of a reply while it is hidden, and resumes it afterwards', async () => {
    const sol = await playground.talking();
    await playground.stack.model.script('behind', slowly());
    await sol.send('behind');
    await sol.sees('word3 ');
    const left = sol.page.waitForEvent('requestfailed', (request) => request.url().endsWith('/turns'));
    await sol.hide(true);
    await left;
    // A look that was under way may end.
    await sol.page.waitForTimeout(1_000);
    const asked: string[] = [];
    sol.page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    // Longer than the time between two looks of a visible page.
    await sol.page.waitForTimeout(6_000);
    expect(asked).toEqual([]);
    await sol.hide(false);
    await sol.sees('word20 ');
    await sol.page.getByRole('button', { name: 'Stop the reply' }).click();
    await sol.reply(/^(?=[\s\S]*word0 word1 word2 )[\s\S]*Stopped/);
    expect(await sol.messages.last().locator('.prose p').textContent()).toBe(
      (await playground.stored(sol)).at(-1).content.trimEnd(),
    );
  });

  it('names a chat after its first message, until the user names it', async () => {
    const tom = await playground.talking();
    const { page } = tom;
    const title = page.getByRole('heading', { level: 1 });
    const row = page.getByRole('list', { name: 'Your chats' }).getByRole('link');
    await tom.send('How do I install the software on a laptop that has no network?\nIt is old.');
    await tom.reply('It is old.');
    await row.filter({ hasText: 'How do I install the software on a laptop that…' }).waitFor();
    await page.getByRole('button', { name: 'Rename' }).click();
    const field = page.getByRole('textbox', { name: 'Title of the chat' });
    await field.fill('not this');
    await field.press('Escape');
    expect(await title.innerText()).toBe('How do I install the software on a laptop that…');
    expect(await page.evaluate(`document.activeElement.ariaLabel`)).toBe('Rename');
    await page.keyboard.press('Enter');
    await field.fill(' <b>The laptop</b> ');
    await field.press('Enter');
    await row.filter({ hasText: '<b>The laptop</b>' }).waitFor();
    // A given title stays, whatever the messages are.
    await tom.send('and another');
    await tom.reply('and another');
    await page.reload();
    await title.filter({ hasText: '<b>The laptop</b>' }).waitFor();
    expect((await (await playground.as(tom)).get(`/api/v1/chats/${tom.chatId}`)).body.title).toBe('<b>The laptop</b>');
    expect(tom.complaints).toEqual([]);
  });

  it('stays on the chat one has chosen while another was slow to open', async () => {
    const ugo = await playground.talking();
    const { page, chatId } = ugo;
    let opened = (): void => undefined;
    const answer = new Promise<void>((resolve) => (opened = resolve));
    await page.route('**/assistants/general/chats', async (route) => {
      await answer;
      await route.continue().catch(() => undefined);
    });
    await page.getByRole('link', { name: 'Rejoinder' }).click();
    await page.getByRole('main').getByRole('button', { name: 'General' }).click();
    await page.getByRole('list', { name: 'Your chats' }).getByRole('link').click();
    await ugo.field.waitFor();
    opened();
    await ugo.send('here');
    await ugo.reply('here');
    expect(ugo.chatId).toBe(chatId);
  });
});
