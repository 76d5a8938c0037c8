import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { type CopyLine, readDockerfile, type Stage } from '../support/dockerfile.js';

/** What the last stage says of how a program is run. */
export interface Image {
  /** Its root directory: what the image adds to the one it is built on. */
  readonly root: string;
  readonly stage: Stage;
}

/**
 * Does what the Dockerfile says, below `into`: each stage's root is a directory there. Only what it adds to its base image is in
 * it, so `RUN` finds this machine's Node and not the one named in `FROM`, and paths must be relative to `WORKDIR`.
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
  // What npm has fetched before need not be fetched again: the lock file says what it must be.
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], npm_config_prefer_offline: 'true' };
  execFileSync('sh', ['-c', command], { cwd: directory, env, stdio: ['ignore', 'inherit', 'inherit'] });
  console.log(`${((Date.now() - began) / 1_000).toFixed(1).padStart(5)} s  ${command}`);
}

/** As `COPY` does it: a directory's content goes into the target, a file below it when it ends with a slash. */
function copy({ from, sources, target }: CopyLine, roots: ReadonlyMap<string, string>, workdir: string): void {
  const root = from === undefined ? process.cwd() : roots.get(from);
  if (root === undefined) throw new Error(`There is no stage ${from}.`);
  const taken = from === undefined ? isInContext(readFileSync('.dockerignore', 'utf8')) : (): boolean => true;
  for (const source of sources) {
    const path = join(root, source);
    const into = join(workdir, target);
    if (statSync(path).isDirectory()) {
      // Entry by entry: a stage's root may lie below the directory that is copied.
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

/** What `.dockerignore` lets through. The last pattern that fits decides; of its patterns, those are known that are in use here. */
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

/** `*` is all but a slash, a leading `**` any directories; whatever is below what fits, fits, too. */
function pattern(text: string): RegExp {
  const anywhere = text.startsWith('**/');
  const rest = (anywhere ? text.slice(3) : text).replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
  return new RegExp(`^${anywhere ? '(?:.*/)?' : ''}${rest}(?:/|$)`);
}
