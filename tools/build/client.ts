import { execFile } from 'node:child_process';
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '#process/root.js';
import type { Build } from './build-once.js';

/** The typed client as a package, which the API serves at `/client.tgz`. */
export const client: Build = {
  out: 'dist/client',
  inputs: [
    'libs/client/src',
    'libs/client/package.json',
    'libs/client/tsconfig.json',
    'libs/client/tsconfig.cjs.json',
    'libs/client/README.md',
    'libs/client/LICENSE',
    'libs/contract/src/openapi.gen.ts',
    'dist/tools/build/client.js',
    'package-lock.json',
  ],
  build: async (into) => {
    const args = ['pack', '--silent', '--workspace=@rejoinder/client', `--pack-destination=${into}`];
    await promisify(execFile)('npm', args, { cwd: ROOT, shell: process.platform === 'win32' });
    const [packed] = readdirSync(into);
    if (packed === undefined) throw new Error('npm packed nothing.');
    renameSync(join(into, packed), join(into, 'client.tgz'));
  },
};
