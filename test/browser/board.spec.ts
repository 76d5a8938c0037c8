import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { findChromium, startBrowser } from '../support/browser.js';
import { Client } from '../support/client.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

const inBrowser = findChromium() === undefined ? describe.skip : describe;

inBrowser('the board, in a browser', () => {
  let stack: Stack;
  let browser: Browser;
  beforeAll(async () => {
    [stack, browser] = await Promise.all([startStack(), startBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });

  it('is opened by a link, shows the tickets, offers nothing to change, and needs nothing from elsewhere', async () => {
    await stack.model.script('take your time', { delay_ms: 30_000 });
    const ana = stack.as('ana');
    const { id } = await ana.turnAsync((await ana.chat()).id, 'take your time');
    const ops = new Client(stack.api.url, tokenFor('ops', { scope: 'admin' }));
    const { url } = (await ops.post('/api/v1/admin/sessions')).body;

    const page = await browser.newPage();
    const complaints: string[] = [];
    const hosts = new Set<string>();
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).origin);
    });
    await page.goto(new URL(url, stack.api.url).href);
    await page.waitForURL('**/admin/queues');
    await page.getByText('assistant-reply').first().click();
    await page.getByText(`${id}-1`).first().waitFor();
    await page.getByText('/api/v1/admin/jobs').waitFor();
    for (const name of [/pause/i, /add job/i, /obliterate/i, /clean/i, /retry/i, /promote/i]) {
      expect([name, await page.getByRole('button', { name }).count()]).toEqual([name, 0]);
    }
    expect(await page.content()).not.toContain('take your time');
    await page.goto(new URL(`/admin/queues/queue/assistant-reply/${id}-1`, stack.api.url).href);
    await page.getByText(`"${id}"`).first().waitFor();
    expect(complaints).toEqual([]);
    expect([...hosts]).toEqual([new URL(stack.api.url).origin]);

    // Another browser of the same machine sees nothing.
    const stranger = await (await browser.newContext()).newPage();
    expect((await stranger.goto(new URL('/admin/queues', stack.api.url).href))?.status()).toBe(404);
    await ana.patch(`/api/v1/jobs/${id}`, { status: 'canceled' });
  });
});
