import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '#process/root.js';
import { type Build, buildOnce } from './build-once.js';

/**
 * Builds in another process, and stops after `step` of the two steps that put a build in place, so that another build can come between
 * them. Two processes would never meet there by chance.
 */
const INTERRUPTED = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const [place, step] = process.argv.slice(1);
  const rename = fs.renameSync;
  let steps = 0;
  const other = () => {
    fs.rmSync(place + '/made/out', { recursive: true, force: true });
    fs.cpSync(place + '/other', place + '/made/out', { recursive: true });
  };
  fs.renameSync = (from, to) => {
    const mine = steps++ === Number(step);
    if (mine && step === '0') fs.rmSync(place + '/made/out', { recursive: true });
    else if (mine) other();
    rename(from, to);
  };
  syncBuiltinESMExports();
  const { buildOnce } = await import(process.cwd() + '/dist/tools/build/build-once.js');
  const build = async (into) => fs.writeFileSync(into + '/file', 'mine');
  await buildOnce({ out: place + '/made/out', inputs: [place + '/from'], madeBy: 'me', build });`;

describe('a build', () => {
  let place: string;
  let from: string;
  let out: string;
  beforeEach(async () => {
    // A build's sources and result must be below the project.
    place = await mkdtemp(join(ROOT, 'dist/.once-'));
    await mkdir(join(place, 'from/below'), { recursive: true });
    await mkdir(join(place, 'made'));
    from = join(place, 'from');
    out = join(place, 'made/out');
    await writeFile(join(from, 'below/source'), 'first');
  });
  afterEach(() => rm(place, { recursive: true, force: true }));

  let built = 0;
  const build = (changes: Partial<Build> = {}): Promise<void> =>
    buildOnce({
      out: relative(ROOT, out),
      inputs: [relative(ROOT, from)],
      build: async (into) => {
        built += 1;
        await writeFile(join(into, 'file'), await readFile(join(from, 'below/source')));
      },
      ...changes,
    });
  /** The build ran again. */
  const anew = async (changes?: Partial<Build>): Promise<boolean> => {
    const before = built;
    await build(changes);
    return built > before;
  };

  it('runs again when a source or another input has changed, and only then', async () => {
    expect([await anew(), await anew()]).toEqual([true, false]);
    await writeFile(join(from, 'below/source'), 'second');
    expect([await anew(), await anew()]).toEqual([true, false]);
    expect(await readFile(join(out, 'file'), 'utf8')).toBe('second');
    await writeFile(join(from, 'more'), '');
    expect([await anew(), await anew()]).toEqual([true, false]);
    await rm(join(from, 'more'));
    expect([await anew(), await anew()]).toEqual([true, false]);
    expect([await anew({ madeBy: 'another' }), await anew({ madeBy: 'another' })]).toEqual([true, false]);
    await writeFile(join(from, 'more'), 'that does not count');
    const counts = (path: string): boolean => path.endsWith('source');
    expect(await anew({ madeBy: 'another', counts })).toBe(false);
  });

  it('runs again when some of its result, or all of it, is gone', async () => {
    await build();
    await rm(join(out, 'file'));
    expect([await anew(), await anew()]).toEqual([true, false]);
    await rm(out, { recursive: true });
    expect([await anew(), await anew()]).toEqual([true, false]);
  });

  it('leaves the old result as it was when it fails, and nothing beside it', async () => {
    await build();
    await writeFile(join(from, 'below/source'), 'second');
    const failing = build({ build: () => Promise.reject(new Error('no')) });
    await expect(failing).rejects.toThrow('no');
    expect(await readFile(join(out, 'file'), 'utf8')).toBe('first');
    expect(await readdir(join(place, 'made'))).toEqual(['out']);
  });

  it.each([
    ['took the old one away', '0'],
    ['put its own in place', '1'],
  ])('gives a complete result when another build meanwhile %s, and leaves nothing beside it', async (_, step) => {
    await build();
    await rename(out, join(place, 'other'));
    await build();
    const args = ['--input-type=module', '--eval', INTERRUPTED, relative(ROOT, place), step];
    await promisify(execFile)(process.execPath, args, { cwd: ROOT });
    expect((await readdir(out)).sort()).toEqual(['.built-from', 'file']);
    expect(await readFile(join(out, 'file'), 'utf8')).toBe('mine');
    expect(await readdir(join(place, 'made'))).toEqual(['out']);
  });
});
