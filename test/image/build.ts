import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { type CopyLine, readDockerfile, type Stage } from '../support/dockerfile.js';

/** How the last stage runs a program. */
export interface Image {
  /** The root directory: what the image adds to its base image. */
  readonly root: string;
  readonly stage: Stage;
}

/**
 * Does what the Dockerfile says, below `into`: each stage has a directory there as its root. It holds only what the stage adds to its base
 * image. So `RUN` finds this machine's Node, not that of `FROM`, and paths must be relative to `WORKDIR`.
 */
export function buildImage(into: string): Image {
  const roots = new Map<string, string>();
  let image: Image | undefined;
  for (const [number, stage] of readDockerfile().entries()) {
    const root = join(into, stage.name ?? String(number));
    if (stage.name !== undefined) roots.set(stage.name, root);
    mkdirSync(join(root, stage.workdir), { recursive: true });
    for (const step of stage.steps) {
      if ('copy' in step) copy(step.copy, roots, join(root, stage.workdir));
      else run(step.run, join(root, stage.workdir));
    }
    image = { root, stage };
  }
  if (image === undefined) throw new Error('The Dockerfile has no stage.');
  return image;
}

function run(command: string, directory: string): void {
  const began = Date.now();
  // Packages that npm has fetched before are not fetched again; the lock file has their hashes.
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], npm_config_prefer_offline: 'true' };
  execFileSync('sh', ['-c', command], { cwd: directory, env, stdio: ['ignore', 'inherit', 'inherit'] });
  console.log(`${((Date.now() - began) / 1_000).toFixed(1).padStart(5)} s  ${command}`);
}

/** Copies as `COPY` does: the content of a directory goes into the target; a file goes below a target that ends with a slash. */
function copy({ from, sources, target }: CopyLine, roots: ReadonlyMap<string, string>, workdir: string): void {
  const root = from === undefined ? process.cwd() : roots.get(from);
  if (root === undefined) throw new Error(`There is no stage ${from}.`);
  const taken = from === undefined ? isInContext(readFileSync('.dockerignore', 'utf8')) : (): boolean => true;
  for (const source of sources) {
    const path = join(root, source);
    const into = join(workdir, target);
    if (statSync(path).isDirectory()) {
      // One entry at a time: a stage's root may be below the directory that is copied.
      for (const name of readdirSync(path)) {
        if (taken(relative(root, join(path, name)))) {
          const filter = (one: string): boolean => taken(relative(root, one));
          cpSync(join(path, name), join(into, name), { recursive: true, filter });
        }
      }
    } else if (taken(source)) {
      cpSync(path, /(^|\/)\.?\/?$/.test(target) ? join(into, basename(source)) : into);
    } else throw new Error(`COPY ${source}: .dockerignore leaves it out.`);
  }
}

/**
 * The paths that `.dockerignore` lets through. The last pattern that matches decides. Only the kinds of pattern that the file uses are
 * known.
 */
export function isInContext(ignore: string): (path: string) => boolean {
  const rules = ignore
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ taken: line.startsWith('!'), fits: pattern(line.replace(/^!/, '')) }));
  return (path) => {
    let taken = true;
    for (const rule of rules) if (rule.fits.test(path.split(sep).join('/'))) taken = rule.taken;
    return taken;
  };
}

/** `*` stands for anything but a slash, and a leading `**` for any directories. A pattern also matches all that is below its match. */
function pattern(text: string): RegExp {
  const anywhere = text.startsWith('**/');
  const rest = (anywhere ? text.slice(3) : text).replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
  return new RegExp(`^${anywhere ? '(?:.*/)?' : ''}${rest}(?:/|$)`);
}
