import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '#process/root.js';
import { judgeAdvisories } from './packages/advisories.js';
import { faultsOfLock, type Lock } from './packages/lock.js';

/*
 * `npm run dev -- packages`: checks the lock file, and looks for known advisories of the packages that ship (not of those for building and
 * testing). Ends with 1 when it finds something that must be fixed.
 */

const read = (name: string): object => JSON.parse(readFileSync(join(ROOT, name), 'utf8')) as object;
const faults = faultsOfLock(read('package-lock.json') as Lock, read('package.json'));

// `npm audit` also ends with 1 when it has found advisories.
const { stdout } = spawnSync('npm', ['audit', '--json', '--omit=dev'], {
  cwd: ROOT,
  encoding: 'utf8',
  timeout: 120_000,
});
const { verdict, lines } = judgeAdvisories(stdout);

for (const fault of faults) console.error(`package-lock.json: ${fault}`);
for (const line of lines) console.error(`advisories: ${line}`);
if (faults.length > 0 || verdict === 'known') process.exitCode = 1;
