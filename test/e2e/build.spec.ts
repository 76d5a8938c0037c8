import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

/** What is built from, `dist` as `tsc` wrote it, and what was built. */
const PARTS = [
  'dist/apps/playground',
  'dist/bin',
  'apps/playground',
  'libs/client',
  'libs/contract/src',
  'dist/apps/api',
  'dist/apps/worker',
  'dist/libs',
  'dist/tools',
  'openapi.yaml',
  'package.json',
  'package-lock.json',
];

/** What a program is made of; the cache's name ends with a digest, which is left out here. */
const filesOf = (name: string): string[] => [
  `${name}.cjs`,
  `${name}.cjs.${process.version}-${process.arch}.cache`,
  `${name}.js`,
];

describe('the build', () => {
  let root: string;
  let page: string;
  let programs: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'rejoinder-build-'));
    page = join(root, 'dist/apps/playground');
    programs = join(root, 'dist/bin');
    for (const part of PARTS) {
      await mkdir(dirname(join(root, part)), { recursive: true });
      await cp(part, join(root, part), { recursive: true });
    }
    await symlink(resolve('node_modules'), join(root, 'node_modules'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const build = () => promisify(execFile)(process.execPath, [join(root, 'dist/tools/build.js')]);
  /** What there is, and when it was made. */
  const state = async () => ({
    page: (await stat(join(page, 'index.html'))).mtimeMs,
    assets: (await readdir(join(page, 'assets'))).map((name) => name.replace(/^.*\./, '')).sort(),
    api: (await stat(join(programs, 'api.cjs'))).mtimeMs,
    programs: (await readdir(programs)).map((name) => name.replace(/-[0-9a-f]{16}(?=\.cache$)/, '')).sort(),
  });
  const whole = {
    page: expect.any(Number),
    assets: ['css', 'js', 'svg'],
    api: expect.any(Number),
    programs: ['.built-from', 'launch.js', ...['api', 'migrate', 'traces', 'worker'].flatMap(filesOf)].sort(),
  };

  it('is made once, and anew when something of it is gone or was changed', async () => {
    const first = await state();
    expect(first).toEqual(whole);
    await build();
    expect(await state()).toEqual(first);

    const [asset = ''] = await readdir(join(page, 'assets'));
    await rm(join(page, 'assets', asset));
    await build();
    const second = await state();
    expect(second).toEqual(whole);
    expect([second.page > first.page, second.api]).toEqual([true, first.api]);

    await rm(page, { recursive: true });
    await rm(join(programs, 'migrate.js'));
    await build();
    expect(await state()).toEqual(whole);

    await appendFile(join(root, 'dist/apps/api/src/main.js'), '\nconsole.log("of today");\n');
    const before = await state();
    await build();
    expect((await state()).page).toBe(before.page);
    const api = await readFile(join(programs, 'api.cjs'), 'utf8');
    expect(api.includes('console.log("of today")')).toBe(true);
  });

  it('is whole after two that ran at once, and nothing is left beside it', async () => {
    await rm(page, { recursive: true });
    // The recipe counts, too: who pulls a change of it must not go on with what the old one made.
    await appendFile(join(root, 'dist/tools/build/programs.js'), '\n// changed\n');
    const old = (await stat(join(programs, 'api.cjs'))).mtimeMs;
    await Promise.all([build(), build()]);
    expect(await state()).toEqual(whole);
    expect((await state()).api).toBeGreaterThan(old);
    expect(await readFile(join(page, 'index.html'), 'utf8')).toContain('/assets/');
    expect((await readdir(join(root, 'dist/apps'))).sort()).toEqual(['api', 'playground', 'worker']);
    expect((await readdir(join(root, 'dist'))).sort()).toEqual(['apps', 'bin', 'libs', 'tools']);
  });
});
