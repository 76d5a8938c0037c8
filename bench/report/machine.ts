import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { ROOT } from '#process/root.js';
import { has } from '../../test/support/machine.js';

/** The machine of the measurement. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly system: string;
}

export function thisMachine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    system: `${type()} ${release()}`,
  };
}

/** The commit of the working tree, with `-dirty` if there are changes; `unknown` without git. */
export function thisCommit(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const dirty = git('status', '--porcelain', '--untracked-files=no') !== '';
    return git('rev-parse', '--short=12', 'HEAD') + (dirty ? '-dirty' : '');
  } catch {
    return 'unknown';
  }
}

/** Versions of the parts that affect the figures, except PostgreSQL's. */
export function versions(): Record<string, string> {
  const of = (name: string): string =>
    (JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version;
  const redis = has('redis-server') && /v=([\d.]+)/.exec(execFileSync('redis-server', ['-v'], { encoding: 'utf8' }));
  return {
    node: process.versions.node,
    ...Object.fromEntries(['bullmq', 'fastify', 'pg', 'undici'].map((name) => [name, of(name)])),
    ...(redis && redis[1] !== undefined && { redis: redis[1] }),
  };
}

/** Settings that decide what a commit costs, and how much memory PostgreSQL may use. */
const SETTINGS = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'shared_buffers',
  'max_connections',
];

/** Asked in a session of the product's database, because a database may have settings of its own. */
export async function postgresSettings(database: pg.Pool): Promise<Record<string, string>> {
  const { rows } = await database.query('SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name', [
    SETTINGS,
  ]);
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}
