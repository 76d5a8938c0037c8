import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

/** What the page is built from. */
const PARTS = ['apps/playground', 'libs/client', 'libs/contract/src', 'package.json', 'package-lock.json'];

describe('the build of the playground', () => {
  let root: string;
  let page: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'rejoinder-build-'));
    page = join(root, 'dist/apps/playground');
    await mkdir(join(root, 'libs'));
    for (const part of PARTS) await cp(part, join(root, part), { recursive: true });
    await symlink(resolve('node_modules'), join(root, 'node_modules'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const build = () => promisify(execFile)(process.execPath, [join(root, 'apps/playground/build.js')]);
  /** What there is, and when the page was made. */
  const state = async () => ({
    made: (await stat(join(page, 'index.html'))).mtimeMs,
    assets: (await readdir(join(page, 'assets'))).map((name) => name.replace(/^.*\./, '')).sort(),
  });
  const whole = { made: expect.any(Number), assets: ['css', 'js', 'svg'] };

  it('is made once, and anew when something of it is gone', async () => {
    await build();
    const first = await state();
    expect(first).toEqual(whole);
    await build();
    expect(await state()).toEqual(first);
    const [asset = ''] = await readdir(join(page, 'assets'));
    await rm(join(page, 'assets', asset));
    await build();
    expect(await state()).toEqual(whole);
    await rm(page, { recursive: true });
    await build();
    expect(await state()).toEqual(whole);
  }, 60_000);

  it('is whole after two that ran at once, and nothing is left beside it', async () => {
    await rm(page, { recursive: true });
    await Promise.all([build(), build(), build()]);
    expect(await state()).toEqual(whole);
    expect(await readFile(join(page, 'index.html'), 'utf8')).toContain('/assets/');
    expect(await readdir(join(root, 'dist/apps'))).toEqual(['playground']);
  });
});
