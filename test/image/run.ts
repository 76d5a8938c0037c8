import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from './build.js';

/** A running program of the image. */
export interface Program {
  output(): string;
  /** The exit code, once it has ended. */
  readonly ended: Promise<number | null>;
  /** Sends a signal as the container engine would. */
  signal(name: NodeJS.Signals): void;
  /** Sends SIGKILL, if it still runs. */
  kill(): void;
}

/**
 * On Linux, as root, a program runs as in a container: as process 1, which gets a signal only if it has a handler for it; as the image's
 * user, without capabilities; and with only `/tmp` to write to. Elsewhere it runs as the present user, on read-only files.
 */
export const CONTAINED = spawnSync('unshare', inContainer('0:0', ['true'])).status === 0;

function inContainer(user: string, command: readonly string[]): string[] {
  const [uid = '', gid = ''] = user.split(':');
  const readOnly = 'mount --make-rprivate / && mount -o remount,bind,ro / && exec "$@"';
  const asUser = [
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--no-new-privs',
    '--bounding-set=-all',
  ];
  return [
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    'sh',
    '-c',
    readOnly,
    'sh',
    ...asUser,
    ...command,
  ];
}

/** Runs the image with these settings, and this command (default: its own). */
export function runImage(image: Image, settings: Record<string, string>, command = image.stage.command): Program {
  const words = [...image.stage.entrypoint, ...command].map((word) => (word === 'node' ? process.execPath : word));
  const [file, ...rest] = CONTAINED ? ['unshare', ...inContainer(image.stage.user ?? '0:0', words)] : words;
  const child = spawn(file ?? '', rest, {
    cwd: join(image.root, image.stage.workdir),
    env: { PATH: process.env['PATH'], ...image.stage.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += String(chunk)));
  return {
    output: () => printed,
    ended: once(child, 'exit').then(([code]) => code as number | null),
    signal: (name) => process.kill(CONTAINED ? processOne(child) : (child.pid ?? 0), name),
    kill: () => void child.kill('SIGKILL'),
  };
}

/** The process that is process 1 inside. `unshare` waits for it, and it has another number outside. */
function processOne({ pid }: ChildProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}

/** Removes all write permissions from the image. */
export function makeReadOnly({ root }: Image): void {
  execFileSync('chmod', ['-R', 'a-w,a+rX', root]);
}
