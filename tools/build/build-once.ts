import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ROOT } from '#process/root.js';

const STAMP = '.built-from';

/** A build makes a directory from files. Paths are relative to the project. */
export interface Build {
  readonly out: string;
  /** The source files, and directories with all that is below them. */
  readonly inputs: readonly string[];
  /** Chooses the source files that matter (default: all). */
  readonly counts?: (path: string) => boolean;
  /** Other things that decide the result, such as Node's version. */
  readonly madeBy?: string;
  /** Builds into the directory `into`, an absolute path. */
  readonly build: (into: string) => Promise<void>;
}

/**
 * Builds, unless the result was built from the same files already: each `npm start` runs this, and must not wait for it. The result is put
 * in place in one step, also when two builds run at the same time.
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

/** The fingerprint of its sources; undefined when it was not built, or is incomplete. */
function builtFrom(place: string): string | undefined {
  try {
    const stamp = JSON.parse(readFileSync(join(place, STAMP), 'utf8')) as { from: string; files: string[] };
    return stamp.files.every((name) => existsSync(join(place, name))) ? stamp.from : undefined;
  } catch {
    return undefined;
  }
}

/** Puts a build in place. When two builds run at the same time, the later one stays, and either is complete. */
function put(fresh: string, place: string): void {
  const old = `${fresh}.old`;
  for (let tries = 0; ; tries++) {
    try {
      if (existsSync(place)) renameSync(place, old);
      renameSync(fresh, place);
      return rmSync(old, { recursive: true, force: true });
    } catch (error) {
      // The other build is between its two steps, or has done them.
      rmSync(old, { recursive: true, force: true });
      if (tries === 10) throw error;
    }
  }
}
