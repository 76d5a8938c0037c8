import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
const DIST = join(ROOT, 'dist/apps');
const OUT = join(DIST, 'playground');
const STAMP = '.built-from';

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

/** What the page was built from; undefined when it was not, or is no longer whole. */
function builtFrom() {
  try {
    const { inputs, files } = JSON.parse(readFileSync(join(OUT, STAMP), 'utf8'));
    return files.every((/** @type {string} */ name) => existsSync(join(OUT, name))) ? inputs : undefined;
  } catch {
    return undefined;
  }
}

/** Puts the page in place at once. Two builds at the same time both do: the later one stays, and either is whole. */
function put(/** @type {string} */ built) {
  const old = `${built}.old`;
  for (let tries = 0; ; tries++) {
    try {
      if (existsSync(OUT)) renameSync(OUT, old);
      renameSync(built, OUT);
      return rmSync(old, { recursive: true, force: true });
    } catch (error) {
      // The other one was between the two steps, or after them.
      rmSync(old, { recursive: true, force: true });
      if (tries === 10) throw error;
    }
  }
}

const inputs = fingerprint();
if (builtFrom() !== inputs) {
  const { build } = await import('vite');
  const built = join(DIST, `.playground-${process.pid}`);
  try {
    await build({
      configFile: join(import.meta.dirname, 'vite.config.ts'),
      build: { outDir: built, emptyOutDir: true },
    });
    const files = readdirSync(built, { recursive: true });
    writeFileSync(join(built, STAMP), JSON.stringify({ inputs, files }));
    put(built);
  } finally {
    rmSync(built, { recursive: true, force: true });
  }
}
