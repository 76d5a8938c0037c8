import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = [
  process.env['CHROMIUM_PATH'],
  // The same engine without the windows: half the work, and nothing that these tests look at is missing.
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/** Where this machine's Chromium is; undefined where there is none. `CHROMIUM_PATH` comes first. */
export function findChromium(): string | undefined {
  return PLACES.find((path) => path !== undefined && existsSync(path));
}

/** How long to wait for something on a page: for what hangs, and sooner than Jest gives up, so that what was waited for is told. */
export const PATIENCE_MS = 60_000;

/** A browser of the machine's own: none is ever downloaded. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    // Chromium's sandbox cannot be had as root, which continuous integration often is.
    chromiumSandbox: process.getuid?.() !== 0,
  });
}
