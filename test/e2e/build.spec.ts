import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

/** The sources, `tsc`'s output in `dist`, and what was built of them. */
const PARTS = [
  'dist/apps/playground',
  'dist/bin',
  'dist/client',
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
  let client: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'rejoinder-build-'));
    page = join(root, 'dist/apps/playground');
    programs = join(root, 'dist/bin');
    client = join(root, 'dist/client');
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
    client: (await stat(join(client, 'client.tgz'))).mtimeMs,
    package: (await readdir(client)).sort(),
  });
  const whole = {
    page: expect.any(Number),
    assets: ['css', 'js', 'svg'],
    api: expect.any(Number),
    programs: [
      '.built-from',
      'launch.js',
      ...['api', 'bedrock', 'mcp', 'migrate', 'proxy', 'token', 'traces', 'vertex', 'worker'].flatMap(filesOf),
    ].sort(),
    client: expect.any(Number),
    package: ['.built-from', 'client.tgz'],
  };

  // The spec of a small build (tools/build/build-once.spec.ts) shows what counts as a change, and that two may build at once.
  // The client is not packed here: two more compilers would show what `npm test` has shown before it began.
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
    expect([second.page > first.page, second.api, second.client]).toEqual([true, first.api, first.client]);
    expect(await readFile(join(page, 'index.html'), 'utf8')).toContain('/assets/');

    await appendFile(join(root, 'dist/apps/api/src/main.js'), '\nconsole.log("of today");\n');
    await build();
    const third = await state();
    expect(third).toEqual(whole);
    expect([third.page, third.api > first.api, third.client]).toEqual([second.page, true, first.client]);
    const api = await readFile(join(programs, 'api.cjs'), 'utf8');
    expect(api.includes('console.log("of today")')).toBe(true);
    expect((await readdir(join(root, 'dist/apps'))).sort()).toEqual(['api', 'migrate', 'playground', 'worker']);
    expect((await readdir(join(root, 'dist'))).sort()).toEqual(['apps', 'bin', 'client', 'libs', 'tools']);
  });

  it('depends on its own code, too: a change there does not leave the old result', async () => {
    const { page } = await import('../../tools/build/page.js');
    const { programs } = await import('../../tools/build/programs.js');
    const { client } = await import('../../tools/build/client.js');
    expect(page.inputs).toEqual(expect.arrayContaining(['dist/tools/build/page.js', 'package-lock.json']));
    expect(programs.inputs).toEqual(expect.arrayContaining(['dist/tools/build', 'package-lock.json']));
    expect(client.inputs).toEqual(expect.arrayContaining(['dist/tools/build/client.js', 'package-lock.json']));
  });
});
