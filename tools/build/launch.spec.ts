import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeCodeCache } from './code-cache.js';

const PROGRAM = `
function fails() { throw new Error('of the program'); }
try { fails(); } catch (error) { console.log(error.stack.split('\\n', 2)[1].trim()); }
console.log(__filename, require('node:path').basename(__dirname) !== '');
__import('./part.js').then(({ word }) => console.log(word), console.log);
`;

describe('a program and its code cache', () => {
  let home: string;
  let file: string;
  beforeAll(async () => {
    home = await realpath(await mkdtemp(join(tmpdir(), 'rejoinder-launch-')));
    file = join(home, 'program.cjs');
    await writeFile(file, PROGRAM);
    await writeFile(join(home, 'part.js'), `export const word = 'imported';`);
    await writeFile(join(home, 'package.json'), `{ "type": "module" }`);
    await copyFile(join(import.meta.dirname, 'launch.js'), join(home, 'launch.js'));
    const starter = `import { load } from './launch.js'; const { script, run } = load(process.argv[2]); run();
      console.log('refused:', script.cachedDataRejected);`;
    await writeFile(join(home, 'start.js'), starter);
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  const run = async (place = home, ...flags: string[]) => {
    const args = [...flags, join(place, 'start.js'), join(place, 'program.cjs')];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
    const lines = (stdout + stderr).trim().split('\n');
    return { cache: lines.splice(2, 1)[0], lines };
  };
  /** The program's output, without its place. */
  const printed = (place = home, name = 'fails') => [
    `at ${name} (program.cjs:2:26)`,
    `${place}/program.cjs true`,
    'imported',
  ];

  it('does the same with it, without it, and with one that is not its own', async () => {
    expect(await run()).toEqual({ cache: 'refused: undefined', lines: printed() });

    await makeCodeCache(file);
    const files = await readdir(home);
    // The image builds programs in one place and runs them in another.
    const moved = `${home}-moved`;
    await rename(home, moved);
    expect(await run(moved)).toEqual({ cache: 'refused: false', lines: printed(moved) });
    await rename(moved, home);
    expect(await run(home, '--expose-gc')).toEqual({ cache: 'refused: true', lines: printed() });

    // The text is as long as before, so V8 would take it for the same.
    await writeFile(file, PROGRAM.replaceAll('fails()', 'falls()'));
    expect(await run()).toEqual({ cache: 'refused: undefined', lines: printed(home, 'falls') });
    expect(await readdir(home)).toEqual(files);
  });

  it('gets an error with the output when no cache can be made', async () => {
    const broken = join(home, 'broken.cjs');
    await writeFile(broken, 'process.kill(process.pid, "SIGKILL")');
    await expect(makeCodeCache(broken)).rejects.toThrow('No code cache was made of');
    expect(await readFile(broken, 'utf8')).toContain('SIGKILL');
  });
});
