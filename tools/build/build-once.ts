import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ROOT } from '#process/root.js';

const STAMP = '.built-from';

/** Something that is built from files into a directory of its own. Paths are relative to the project. */
export interface Build {
  readonly out: string;
  /** Files, and directories with all that is below them, that it is made of. */
  readonly inputs: readonly string[];
  /** Of the inputs' files: those that count. All, when left out. */
  readonly counts?: (path: string) => boolean;
  /** What else decides how it comes out, such as the version of Node. */
  readonly madeBy?: string;
  /** Builds into the directory `into`, an absolute path. */
  readonly build: (into: string) => Promise<void>;
}

/**
 * Builds, unless the same was built from the same files before: this runs at each `npm start`, which must not wait for it.
 * The result is put in place at once, also when two builds run at the same time.
 */
export async function buildOnce({ out, inputs, counts = () => true, madeBy = '', build }: Build): Promise<void> {
  const place = join(ROOT, out);
  const from = fingerprint(inputs.flatMap(filesOf).filter(counts), madeBy);
  if (builtFrom(place) === from) return;
  const fresh = join(dirname(place), `.${basename(place)}-${process.pid}`);
  try {
    mkdirSync(fresh, { recursive: true });
    await build(fresh);
    const files = readdirSync(fresh, { recursive: true });
    writeFileSync(join(fresh, STAMP), JSON.stringify({ from, files }));
    put(fresh, place);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function fingerprint(paths: readonly string[], madeBy: string): string {
  const hash = createHash('sha256').update(`${madeBy}\n`);
  for (const path of paths) hash.update(`${path}\n`).update(readFileSync(join(ROOT, path)));
  return hash.digest('hex');
}

function filesOf(path: string): string[] {
  try {
    return readdirSync(join(ROOT, path), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTDIR') throw error;
    return [path];
  }
}

/** What it was built from; undefined when it was not, or is no longer whole. */
function builtFrom(place: string): string | undefined {
  try {
    const stamp = JSON.parse(readFileSync(join(place, STAMP), 'utf8')) as { from: string; files: string[] };
    return stamp.files.every((name) => existsSync(join(place, name))) ? stamp.from : undefined;
  } catch {
    return undefined;
  }
}

/** Of two builds at the same time the later one stays, and either is whole. */
function put(fresh: string, place: string): void {
  const old = `${fresh}.old`;
  for (let tries = 0; ; tries++) {
    try {
      if (existsSync(place)) renameSync(place, old);
      renameSync(fresh, place);
      return rmSync(old, { recursive: true, force: true });
    } catch (error) {
      // The other one was between the two steps, or after them.
      rmSync(old, { recursive: true, force: true });
      if (tries === 10) throw error;
    }
  }
}
