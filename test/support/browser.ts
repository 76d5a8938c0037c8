import { existsSync } from 'node:fs';
import type { Browser } from 'playwright-core';

const PLACES = [
  process.env['CHROMIUM_PATH'],
  // The same engine without windows: it does half the work, and these tests need no windows.
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

/** How long to wait for something on a page. It is less than Jest's own limit, so that the report says what a hanging test waited for. */
export const PATIENCE_MS = 60_000;

/** The machine's own browser. None is ever downloaded. */
export async function startBrowser(): Promise<Browser> {
  // Whoever only asks whether there is a browser does not load the library, which takes a third of a second.
  const { chromium } = await import('playwright-core');
  return chromium.launch({
    executablePath: findChromium(),
    // Chromium has no sandbox as root, which continuous integration often is.
    chromiumSandbox: process.getuid?.() !== 0,
    // V8 works on the page's own thread, does without its slowest compiler, and collects seldom. A page of a test lives too briefly for
    // what helper threads and optimized code would bring.
    args: ['--js-flags=--single-threaded --no-turbofan --min-semi-space-size=16'],
  });
}
