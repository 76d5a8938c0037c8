import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '#process/root.js';
import { BENCHES } from '../bench/benches.js';
import { TASKS } from './dev/tasks.js';

const run = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  return { status, stdout, stderr };
};

describe.each([
  ['bench', 'dist/bench/run.js', BENCHES],
  ['dev', 'dist/tools/dev.js', TASKS],
])('npm run %s', (command, file, programs) => {
  const names = Object.keys(programs);

  it('has a file for each name', () => {
    expect(Object.values(programs).filter((program) => !existsSync(join(ROOT, program.file)))).toEqual([]);
  });

  it('lists all names with --help', () => {
    const { status, stdout } = run(file, '--help');
    expect(status).toBe(0);
    for (const name of names) expect(stdout).toMatch(new RegExp(`^  npm run ${command} -- ${name} .*\\w$`, 'm'));
  });

  it('lists them for an unknown name, and ends with 2', () => {
    const { status, stdout, stderr } = run(file, 'nothing');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^There is no "nothing"\.\n/);
    for (const name of names) expect(stderr).toContain(` ${name} `);
  });

  it('prints one line for a name with --help', () => {
    const { status, stdout } = run(file, names[0] ?? '', '--help');
    expect([status, stdout.split('\n').length]).toEqual([0, 2]);
  });
});
