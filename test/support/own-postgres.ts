import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../tools/embedded-postgres.js';
import { runningProcesses } from './machine.js';
import { steadyPort } from './steady-port.js';
import { until } from './until.js';

const DATABASE = 'rejoinder';
const TRIES = 3;

/** A PostgreSQL of a stack's own, with a migrated database, that a test may kill. */
export interface OwnPostgres {
  /** The process that all sessions are children of. */
  readonly pid: number;
  /** The migrated database; the same after a restart. */
  readonly url: string;
  /** SIGKILL to the server; resolves once its sessions have ended, too. What was committed is kept. */
  kill(): Promise<void>;
  /** Starts it again on its data and its port. Does nothing while it runs. */
  restart(): Promise<void>;
  /** SIGSTOP to the server and all its sessions: connections stay open, and nothing comes. */
  freeze(): Promise<void>;
  /** SIGCONT. */
  thaw(): void;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts one. `env` is what the migration is told besides the address: whether the queue is on Redis. It acknowledges what no power cut
 * would leave of it, unless it is to be `durable`, as PostgreSQL comes.
 */
export async function startOwnPostgres(
  env: Record<string, string> = {},
  { durable = false } = {},
): Promise<OwnPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-own-'));
  const port = await steadyPort();
  const start = (): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dataDir, port, persistent: true, fast: !durable });
  let server = await start();
  let running = true;
  let frozen: readonly number[] = [];
  const { place } = server;
  const url = server.url(DATABASE);

  const stop = async (): Promise<void> => {
    if (running) await server.stop();
    running = false;
    for (const path of new Set([place, dataDir])) await rm(path, { recursive: true, force: true });
  };
  try {
    await prepare(server, env);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    get pid() {
      return server.pid;
    },
    kill: async () => {
      if (!running) return;
      running = false;
      await killServer(server);
    },
    restart: async () => {
      if (running) return;
      for (let tries = 1; ; tries++) {
        try {
          server = await start();
          running = true;
          return;
        } catch (error) {
          if (tries === TRIES) throw error;
        }
      }
    },
    freeze: async () => {
      if (!running) return;
      process.kill(server.pid, 'SIGSTOP');
      const sessions = await sessionsOf(server.pid);
      sessions.forEach((pid) => signal(pid, 'SIGSTOP'));
      frozen = [...sessions, server.pid];
    },
    thaw: () => frozen.forEach((pid) => signal(pid, 'SIGCONT')),
    stop,
  };
}

async function prepare(server: EmbeddedPostgres, env: Record<string, string>): Promise<void> {
  const admin = new pg.Client(server.url('postgres'));
  await admin.connect();
  await admin.query(`CREATE DATABASE ${DATABASE}`);
  // A fast server acknowledges commits that it holds in memory only: a kill would lose them, and that would be no fault.
  await admin.query(`ALTER DATABASE ${DATABASE} SET synchronous_commit = on`);
  await admin.end();
  await promisify(execFile)(process.execPath, ['dist/bin/migrate.js'], {
    env: { PATH: process.env['PATH'], NODE_ENV: 'test', DATABASE_URL: server.url(DATABASE), ...env },
  });
}

/** The sessions outlive their server for a moment, and while they do no other starts on the data. */
async function killServer(server: EmbeddedPostgres): Promise<void> {
  const { pid } = server;
  // Stopped first: it begins no more sessions while they are listed.
  process.kill(pid, 'SIGSTOP');
  const theirs = new Set(await sessionsOf(pid));
  server.kill();
  await server.ended;
  await until(async () => {
    // One that has ended and that nobody asked for its exit code has no line any more.
    const left = (await runningProcesses()).filter((one) => theirs.has(one.pid) && /postgres/.test(one.line));
    return left.length === 0;
  }, 'the end of the sessions of a killed PostgreSQL');
}

async function sessionsOf(server: number): Promise<number[]> {
  return (await runningProcesses()).filter(({ parent }) => parent === server).map(({ pid }) => pid);
}

/** A signal to a session, which may have ended meanwhile. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
