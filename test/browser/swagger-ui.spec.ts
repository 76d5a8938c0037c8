import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import type { Browser } from 'playwright-core';
import { CONTRACT_FILE } from '#contract/file.js';
import { findChromium, startBrowser } from '../support/browser.js';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

const withBrowser = findChromium() === undefined ? describe.skip : describe;

withBrowser('Swagger UI', () => {
  let stack: Stack;
  let browser: Browser;
  beforeAll(async () => {
    [stack, browser] = await Promise.all([startStack(), startBrowser()]);
  });
  afterAll(async () => {
    await browser.close();
    await stack.stop();
  });

  it('shows the very file, takes a token, and tries operations out', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
    const complaints: string[] = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    const foreign: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(stack.api.url) && !request.url().startsWith('data:')) foreign.push(request.url());
    });
    const file = page.waitForResponse((response) => response.url().endsWith('/openapi.yaml'));
    await page.goto(`${stack.api.url}/docs`);
    expect(await (await file).text()).toBe(await readFile(CONTRACT_FILE, 'utf8'));

    await page.getByRole('button', { name: 'Authorize' }).first().click();
    await page.locator('.modal-ux input').fill(tokenFor('ana'));
    await page.locator('.modal-ux').getByRole('button', { name: 'Apply credentials' }).click();
    await page.locator('.modal-ux').getByRole('button', { name: 'Close' }).first().click();

    const execute = async (id: string, parameters: Record<string, string> = {}): Promise<string> => {
      const operation = page.locator(`[id$="-${id}"]`);
      await operation.locator('.opblock-summary').click();
      for (const [name, value] of Object.entries(parameters)) {
        await operation.locator(`tr[data-param-name="${name}"] input`).fill(value);
      }
      await operation.getByRole('button', { name: 'Execute' }).click();
      await operation.locator('.live-responses-table .response-col_status').first().waitFor();
      return operation.locator('.live-responses-table').first().innerText();
    };
    expect(await execute('listAssistants')).toMatch(/200[\s\S]*"slug": "billing"/);
    const opened = await execute('openChat', { slug: 'support' });
    expect(opened).toMatch(/201[\s\S]*"role": "system"/);
    const chatId = /"id": "([0-9a-f-]{36})"/.exec(opened)?.[1] ?? '';
    expect(await execute('createTurn', { chat_id: chatId })).toMatch(/200[\s\S]*"role": "assistant"/);
    if (process.env['SCREENSHOTS']) await page.screenshot({ path: `${process.env['SCREENSHOTS']}/swagger-ui.png` });
    expect(complaints).toEqual([]);
    expect(foreign).toEqual([]);
  });
});
