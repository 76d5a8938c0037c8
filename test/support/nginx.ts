import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { until } from './until.js';

const PROGRAM = 'nginx';
const PLACES = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** Where this machine's nginx is; undefined where there is none. */
export function findNginx(): string | undefined {
  return PLACES.map((place) => join(place, PROGRAM)).find((path) => existsSync(path));
}

/** An nginx of a test's own. */
export interface Nginx {
  /** The text of its error log. */
  log(): string;
  stop(): Promise<void>;
}

/**
 * Starts nginx with `http` within its block of that name, and waits until it listens on `port`. The other settings only keep it in the
 * foreground and its files in a directory of its own. It handles requests with nginx's defaults.
 */
export async function startNginx(http: string, port: number): Promise<Nginx> {
  const directory = await mkdtemp(join(tmpdir(), 'rejoinder-nginx-'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = [
    'daemon off;',
    'master_process off;',
    `pid ${directory}/pid;`,
    'error_log stderr notice;',
    'events {}',
    'http {',
    '  access_log off;',
    ...temporary.map((what) => `  ${what}_temp_path ${directory}/${what};`),
    http,
    '}',
  ];
  await writeFile(join(directory, 'nginx.conf'), config.join('\n'));
  const child = spawn(findNginx() ?? PROGRAM, ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const runs = (): boolean => child.exitCode === null && child.signalCode === null;
  await until(async () => {
    if (!runs()) throw new Error(`nginx ended with ${child.exitCode}:\n${log}`);
    return listens(port);
  }, 'nginx to listen');
  return {
    log: () => log,
    stop: async () => {
      await ended(child);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = once(child, 'exit');
  child.kill('SIGKILL');
  await over;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve(false));
    socket.on('connect', () => resolve(true)).on('connect', () => socket.destroy());
  });
}

/** The page's blocks of nginx's configuration, in their order. */
export async function shownConfigurations(page: string): Promise<string[]> {
  const text = await readFile(page, 'utf8');
  return [...text.matchAll(/^```nginx\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
}
