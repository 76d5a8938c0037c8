import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { findChromium } from '../support/browser.js';
import { PHONE, Playground, type Visitor } from '../support/playground.js';
import { until } from '../support/until.js';

const withBrowser = findChromium() === undefined ? describe.skip : describe;

const REPLY = `## Reinstalling

To reinstall, **keep your data**, and read [the manual](https://example.com/manual "All of it") or https://example.com/faq.

1. Run this:

   \`\`\`sh
   npm ci && npm start
   \`\`\`

2. Then look at \`dist/\`:
   - it is *new*
   - it is ~~small~~ whole

| Step | Command | Seconds |
|:-----|:-------:|--------:|
| one | \`npm ci\` | 12 |
| two | \`npm start\` | 3 |

> Data in \`.data\` stay.

---

\`\`\`ts
const answer: number = 42; // <b>not bold</b>
\`\`\`

That is **all**.`;

const HOSTILE = [
  '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script>',
  '<svg/onload=document.title="taken"> <iframe srcdoc="<script>top.document.title=1</script>"></iframe> <style>*{display:none}</style>',
  '[a](javascript:document.title="taken") [b](JaVaScRiPt&colon;alert(1)) [c](java\nscript:alert(1)) [d](data:text/html,<script>1</script>)',
  '[e](vbscript:x) [f](file:///etc/passwd) [g](/api/v1/me) [h](#/chats/x) [i](//evil.example "x onclick=1")',
  '![picture](https://evil.example/p.png?secret) ![two](data:image/svg+xml;base64,AAAA) <a href="javascript:alert(1)">j</a>',
  '[k]: javascript:alert(1)\n\n[k] and [l][k], <javascript:alert(1)>',
  '```"><script>document.title="taken"</script>\n</code></pre><script>document.title="taken"</script>\n```',
  '| <script>alert(1)</script> | [m](javascript:1) |\n|---|---|\n| <b>x</b> | `<i>y</i>` |',
  `${'['.repeat(3_000)} the end`,
].join('\n\n');

withBrowser('the playground, with texts of all kinds', () => {
  let playground: Playground;
  beforeAll(async () => {
    playground = await Playground.start();
  });
  afterEach(() => playground.clear());
  afterAll(() => playground.stop());

  /** Answers a turn with `text`, and returns the drawn reply. */
  const replied = async (visitor: Visitor, text: string, words: string | RegExp) => {
    await playground.stack.model.script('say it', { text }, 1);
    await visitor.field.fill('say it');
    await visitor.page.getByRole('button', { name: 'Send' }).click();
    await visitor.reply(words);
    return visitor.messages.last().locator('.prose');
  };

  it.each([
    ['desktop', { viewport: { width: 1440, height: 900 } }],
    ['phone', PHONE],
  ])('draws a reply’s Markdown on a %s, in light and dark, accessibly', async (place, how) => {
    const liv = await playground.talking(how);
    const prose = await replied(liv, REPLY, 'That is all.');
    const html = await prose.evaluate((one) => one.innerHTML);
    expect(html).toMatch(/<h3[^>]*>Reinstalling<\/h3>/);
    expect(html).toContain('<strong>keep your data</strong>');
    expect(html).toMatch(
      /<ol start="1"><li.*npm ci &amp;&amp; npm start.*<\/li><li.*<ul><li.*<em>new<\/em>.*<s>small<\/s>/s,
    );
    expect(await prose.locator('table tr').allInnerTexts()).toEqual([
      'Step\tCommand\tSeconds',
      'one\tnpm ci\t12',
      'two\tnpm start\t3',
    ]);
    expect(await prose.locator('td.right').allInnerTexts()).toEqual(['12', '3']);
    expect(
      await prose
        .getByRole('link')
        .evaluateAll((all) =>
          all.map((one) => [
            one.textContent,
            ...['href', 'target', 'rel', 'title'].map((name) => one.getAttribute(name)),
          ]),
        ),
    ).toEqual([
      ['the manual', 'https://example.com/manual', '_blank', 'noopener noreferrer nofollow', 'All of it'],
      [
        'https://example.com/faq',
        'https://example.com/faq',
        '_blank',
        'noopener noreferrer nofollow',
        'https://example.com/faq',
      ],
    ]);
    expect(await prose.locator('blockquote, hr').count()).toBe(2);
    // The words of its figure captions, and code that is not smaller than the text around it.
    expect(await prose.locator('figcaption span').allInnerTexts()).toEqual(['sh', 'ts']);
    const sizes = await liv.page.evaluate<string[]>(
      `[...document.querySelectorAll('.prose pre code, .prose p > code')].map((one) => getComputedStyle(one).fontSize)`,
    );
    expect(sizes).toHaveLength(4);
    expect(new Set(sizes).size).toBe(1);
    await liv.picture(`${place}-markdown`);
    expect(await liv.barriers()).toEqual([]);
    // Only code and tables may be wider than the page.
    const history = liv.page.getByRole('region', { name: 'History' });
    expect(await history.evaluate((one) => one.scrollWidth - one.clientWidth)).toBe(0);
    expect(liv.complaints).toEqual([]);
  });

  it('copies code unchanged', async () => {
    const cleo = await playground.talking({ permissions: ['clipboard-read', 'clipboard-write'] });
    const prose = await replied(cleo, REPLY, 'That is all.');
    await prose.getByRole('button', { name: 'Copy the code' }).last().click();
    await prose.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await cleo.page.evaluate('navigator.clipboard.readText()')).toBe(
      'const answer: number = 42; // <b>not bold</b>',
    );
  });

  it('runs, loads and sends nothing that a reply contains, and links only to the web', async () => {
    const rex = await playground.talking();
    const { page } = rex;
    const prose = await replied(rex, HOSTILE, 'the end');
    expect(await page.title()).not.toMatch(/taken|1/);
    expect(
      await prose
        .locator('img, script, svg:not(.icon), iframe, style, b, i, [onclick], [onload], [onerror], [style]')
        .count(),
    ).toBe(0);
    const links = await prose
      .getByRole('link')
      .evaluateAll((all) => all.map((one) => [one.textContent, one.getAttribute('href')]));
    expect(links).toEqual([['picture', 'https://evil.example/p.png?secret']]);
    expect(await prose.innerText()).toContain('<img src=x onerror="document.title=taken">');
    expect(await prose.locator('pre').innerText()).toBe('</code></pre><script>document.title="taken"</script>');
    expect(rex.complaints).toEqual([]);
    // Even the page itself could not.
    const refused = await page.evaluate(
      `(() => { try { document.body.innerHTML = '<i>x</i>'; return 'done' } catch (error) { return error.name } })()`,
    );
    expect(refused).toBe('TypeError');
  });

  it('leaves what users write as it is', async () => {
    const uli = await playground.talking();
    const written = '# not a heading\n\n**not bold** <b>nor this</b> [nor](https://example.com)\n- a list?';
    await uli.send(written);
    await uli.reply('not a heading');
    const own = uli.messages.filter({ hasText: 'You:' }).locator('.prose');
    expect(await own.locator('h2, strong, b, a, ul').count()).toBe(0);
    expect((await own.locator('p').allTextContents()).join('\n\n')).toBe(written);
  });

  it('does not jump while a reply is written, nor at its end', async () => {
    const mo = await playground.talking({ viewport: { width: 900, height: 1400 }, reducedMotion: 'no-preference' });
    const pieces = REPLY.match(/[^]{1,3}/g) ?? [];
    await playground.stack.model.script('piece by piece', { pieces, piece_delay_ms: 12 });
    // Everything that is ever drawn of it: heights and words.
    await mo.page.evaluate(`
      globalThis.seen = [];
      const look = () => {
        const prose = document.querySelector('.messages > li:last-child.assistant .prose');
        if (prose) seen.push([prose.getBoundingClientRect().height, prose.innerText, prose.querySelectorAll('*').length]);
        requestAnimationFrame(look);
      };
      look();`);
    await mo.send('piece by piece');
    await mo.reply('That is all.');
    const seen = await mo.page.evaluate<[number, string, number][]>('seen');
    const frames = seen.filter(
      ([, text], n) => text !== seen[n - 1]?.[1] && !text.includes('¡') && !text.startsWith('Hello'),
    );
    expect(frames.length).toBeGreaterThan(10);
    const letters = (text: string): string => text.replace(/\s/g, '');
    const whole = letters(frames.at(-1)?.[1] ?? '');
    frames.forEach(([height, text, elements], n) => {
      const [lower, , fewer] = frames[n - 1] ?? [0, '', 0];
      expect(whole.startsWith(letters(text))).toBe(true);
      expect([text.slice(-40), height >= lower - 1, elements >= fewer]).toEqual([text.slice(-40), true, true]);
    });
    // The final drawing equals the one that grew piece by piece.
    const before = seen.findLast(([, text]) => letters(text) !== whole)?.[0] ?? 0;
    expect((frames.at(-1)?.[0] ?? 0) - before).toBeLessThan(40);
  });

  it('says "Yesterday" for the day before summer time, even in the hour after midnight', async () => {
    const eve = await playground.visit({ timezoneId: 'Europe/Madrid' });
    await eve.pick('Support');
    await eve.sees('Today');
    const say = (at: string) =>
      playground.stack.database.query('UPDATE messages SET created_at = $2 WHERE chat_id = $1', [eve.chatId, at]);
    // The 29th of March has 23 hours.
    for (const [at, now, day] of [
      ['2026-03-29T12:00:00+02:00', '2026-03-30T00:30:00+02:00', 'Yesterday'],
      ['2026-03-28T23:45:00+01:00', '2026-03-30T00:30:00+02:00', 'Saturday'],
      ['2026-10-25T12:00:00+01:00', '2026-10-26T23:30:00+01:00', 'Yesterday'],
    ] as const) {
      await say(at);
      await eve.page.clock.setFixedTime(new Date(now));
      await eve.page.reload();
      await eve.messages.first().locator('.day').filter({ hasText: day }).waitFor();
    }
  });

  it.each([
    ['Chromium and Firefox', { isComposing: true, keyCode: 229 }],
    ['older ones', { isComposing: false, keyCode: 229 }],
    ['Safari, which ends the composition first', { isComposing: false, keyCode: 13, ended: true }],
  ])('leaves Enter to an input method, as reported by %s', async (_, how) => {
    const kei = await playground.talking();
    await kei.field.fill('にほんご');
    const press = (how: object = {}): Promise<boolean> =>
      kei.page.evaluate(`(() => {
        const { isComposing = false, keyCode = 13, ended = false } = ${JSON.stringify(how)};
        const field = document.getElementById('message');
        if (ended) field.dispatchEvent(new CompositionEvent('compositionend', { bubbles: true, data: '日本語' }));
        const how = { key: 'Enter', isComposing, keyCode, bubbles: true, cancelable: true };
        return field.dispatchEvent(new KeyboardEvent('keydown', how));
      })()`);
    // The page does not handle the key, so the browser does.
    expect(await press(how)).toBe(true);
    expect(await kei.field.inputValue()).toBe('にほんご');
    await kei.page.waitForTimeout(100);
    expect(await press()).toBe(false);
    await until(async () => (await kei.field.inputValue()) === '', 'what was sent');
    await kei.reply('にほんご');
    expect((await playground.stored(kei)).filter(({ role }) => role === 'user')).toHaveLength(1);
  });
});
