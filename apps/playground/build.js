import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Builds the page into `dist/apps/playground`, unless it was built from the same files before: this runs at each `npm start`,
 * which must not wait for it. Vite is loaded only when there is something to do.
 */

const ROOT = join(import.meta.dirname, '../..');
const INPUTS = [
  'apps/playground',
  'libs/client/src',
  'libs/client/package.json',
  'libs/client/tsconfig.json',
  'libs/contract/src/openapi.gen.ts',
  'package-lock.json',
];
const STAMP = join(ROOT, 'dist/apps/playground/.built-from');

/** A hash of what the page is made of. */
function fingerprint() {
  const hash = createHash('sha256');
  for (const path of INPUTS.flatMap(filesOf)) hash.update(`${path}\n`).update(readFileSync(join(ROOT, path)));
  return hash.digest('hex');
}

/** @param {string} path @returns {string[]} */
function filesOf(path) {
  try {
    return readdirSync(join(ROOT, path), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
      .sort();
  } catch {
    return [path]; // a file
  }
}

/** What the page was built from; undefined when it was not, or not to the end. */
function builtFrom() {
  try {
    return readFileSync(STAMP, 'utf8');
  } catch {
    return undefined;
  }
}

const inputs = fingerprint();
if (builtFrom() !== inputs) {
  rmSync(STAMP, { force: true });
  const { build } = await import('vite');
  await build({ configFile: join(import.meta.dirname, 'vite.config.ts') });
  writeFileSync(STAMP, inputs);
}
