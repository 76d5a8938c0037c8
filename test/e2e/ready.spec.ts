import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

type Scripts = Readonly<Record<string, string>>;

/** The check before every script of package.json: one line for each step that a newcomer has not done yet. */
describe('an npm script', () => {
  let clone: string;
  beforeAll(async () => {
    clone = await mkdtemp(join(tmpdir(), 'rejoinder-clone-'));
    await mkdir(join(clone, 'tools'));
    for (const file of ['package.json', 'package-lock.json', 'tools/ready.cjs']) await cp(file, join(clone, file));
  });
  afterAll(() => rm(clone, { recursive: true, force: true }));

  /** A run's output and exit code, without npm's own lines. */
  const run = async (command: string, args: readonly string[], env: Record<string, string> = {}) =>
    promisify(execFile)(command, args, { cwd: clone, env: { PATH: process.env['PATH'], HOME: clone, ...env } }).then(
      ({ stdout, stderr }) => [0, stdout + stderr],
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => [code, stdout + stderr],
    );
  const asked = (task: string, env?: Record<string, string>) =>
    run(process.execPath, ['tools/ready.cjs', ...task.split(' ').filter(Boolean)], env);
  const under = (version: string) =>
    run(process.execPath, [
      '-e',
      `Object.defineProperty(process, 'version', { value: '${version}' }); require('./tools/ready.cjs')`,
    ]);

  it('begins with this check, each of them', async () => {
    const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Scripts };
    const checks = (name: string): boolean => {
      const [first = ''] = (scripts[`pre${name}`] ?? scripts[name] ?? '').split(' && ');
      const [, other] = /^npm run --silent (\w+)$/.exec(first) ?? [];
      return first.startsWith('node tools/ready.cjs') || (other !== undefined && checks(other));
    };
    const own = Object.keys(scripts).filter((name) => !(name.startsWith('pre') && name.slice(3) in scripts));
    expect(own.filter((name) => !checks(name))).toEqual([]);
  });

  it('says only to run `npm ci` if that was forgotten, or the packages have changed since', async () => {
    const forgotten = 'The packages are not installed. Run: npm ci\n';
    for (const script of ['start', 'test']) {
      expect(await run('npm', ['run', '--silent', script])).toEqual([1, forgotten]);
    }
    expect(await asked('', { NODE_ENV: 'production' })).toEqual([1, forgotten.replace('\n', ' --include=dev\n')]);
    await mkdir(join(clone, 'node_modules'));
    const installed = join(clone, 'node_modules/.package-lock.json');
    await cp('package-lock.json', installed);
    expect(await asked('')).toEqual([0, '']);
    await writeFile(
      installed,
      (await readFile(installed, 'utf8')).replace('"node_modules/markdown-it"', '"node_modules/other"'),
    );
    expect(await asked('')).toEqual([
      1,
      'The packages are not those of package-lock.json (markdown-it). Run: npm ci\n',
    ]);
    await cp('package-lock.json', installed);
  });

  it('says at once that it must build, or that nothing is built', async () => {
    expect(await asked('build')).toEqual([0, 'Building, once …\n']);
    expect(await asked('built')).toEqual([1, 'Nothing is built yet. Run: npm ci && npm run build\n']);
    await mkdir(join(clone, 'dist/bin'), { recursive: true });
    await writeFile(join(clone, 'dist/bin/api.js'), '');
    expect([await asked('build'), await asked('built')]).toEqual([
      [0, ''],
      [0, ''],
    ]);
  });

  it('names the needed versions to a Node that is too old', async () => {
    for (const version of ['v14.21.3', 'v18.20.8', 'v20.18.3', 'v22.12.0', 'v23.11.0', 'v24.10.9']) {
      const [code, printed] = await under(version);
      expect([code, printed]).toEqual([
        1,
        expect.stringMatching(/^Rejoinder needs Node 24\.11, 22\.13, 20\.19 or newer, and this is v[\d.]+: [^\n]*\n$/),
      ]);
      expect(printed).toContain(version);
    }
    for (const version of ['v20.19.0', 'v22.20.1', 'v24.11.0', 'v25.0.0'])
      expect(await under(version)).toEqual([0, '']);
  });
});
