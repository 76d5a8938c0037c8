import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

/** The sources, `tsc`'s output in `dist`, and the built programs. */
const PARTS = [
  'dist/apps/playground',
  'dist/bin',
  'apps/playground',
  'libs/client',
  'libs/contract/src',
  'dist/apps/api',
  'dist/apps/worker',
  'dist/apps/migrate',
  'dist/libs',
  'dist/tools',
  'openapi.yaml',
  'package.json',
  'package-lock.json',
];

/** A program's files. The cache's name ends with a digest, which is left out here. */
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
  /** The files, and when they were made. */
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
    programs: [
      '.built-from',
      'launch.js',
      ...['api', 'migrate', 'proxy', 'token', 'traces', 'worker'].flatMap(filesOf),
    ].sort(),
  };

  // The spec of a small build (tools/build/build-once.spec.ts) shows what counts as a change, and that two may build at once.
  it('runs once, and again when some of its result is gone, or a source has changed', async () => {
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
    expect(await readFile(join(page, 'index.html'), 'utf8')).toContain('/assets/');

    await appendFile(join(root, 'dist/apps/api/src/main.js'), '\nconsole.log("of today");\n');
    await build();
    const third = await state();
    expect(third).toEqual(whole);
    expect([third.page, third.api > first.api]).toEqual([second.page, true]);
    const api = await readFile(join(programs, 'api.cjs'), 'utf8');
    expect(api.includes('console.log("of today")')).toBe(true);
    expect((await readdir(join(root, 'dist/apps'))).sort()).toEqual(['api', 'migrate', 'playground', 'worker']);
    expect((await readdir(join(root, 'dist'))).sort()).toEqual(['apps', 'bin', 'client', 'libs', 'tools']);
  });

  it('depends on its own code, too: a change there does not leave the old result', async () => {
    const { page } = await import('../../tools/build/page.js');
    const { programs } = await import('../../tools/build/programs.js');
    expect(page.inputs).toEqual(expect.arrayContaining(['dist/tools/build/page.js', 'package-lock.json']));
    expect(programs.inputs).toEqual(expect.arrayContaining(['dist/tools/build', 'package-lock.json']));
  });
});
