import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../tools/embedded-postgres.js';
import { runningProcesses } from './machine.js';
import { makeServerData } from './server-data.js';
import { steadyPort } from './steady-port.js';
import { until } from './until.js';

/** The database of a server of its own. */
export const DATABASE = 'rejoinder';
const TRIES = 3;

/** A PostgreSQL for one stack, with a migrated database. A test may kill it. */
export interface OwnPostgres {
  /** The server's process, the parent of all sessions. */
  readonly pid: number;
  /** The migrated database; the same after a restart. */
  readonly url: string;
  /** Sends SIGKILL to the server and resolves once its sessions have ended, too. Commits survive. */
  kill(): Promise<void>;
  /** Starts it again, with its data and its port. Does nothing while it runs. */
  restart(): Promise<void>;
  /** Sends SIGSTOP to the server and all its sessions: connections stay open, and nothing comes. */
  freeze(): Promise<void>;
  /** SIGCONT. */
  thaw(): void;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts one.
 * @param env settings of the migration besides the address, such as the queue's store
 * @param options.durable with PostgreSQL's own defaults. Otherwise the server acknowledges commits that a power cut would lose
 */
export async function startOwnPostgres(
  env: Record<string, string> = {},
  { durable = false } = {},
): Promise<OwnPostgres> {
  const dataDir = await makeServerData('own');
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
    await prepareDatabase(server, env);
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

/** Makes the database and migrates it. */
export async function prepareDatabase(server: EmbeddedPostgres, env: Record<string, string>): Promise<void> {
  const admin = new pg.Client(server.url('postgres'));
  await admin.connect();
  await admin.query(`CREATE DATABASE ${DATABASE}`);
  // A fast server acknowledges commits that are only in memory. A kill would lose them, and that would not be a fault of the service.
  await admin.query(`ALTER DATABASE ${DATABASE} SET synchronous_commit = on`);
  await admin.end();
  await promisify(execFile)(process.execPath, ['dist/bin/migrate.js'], {
    env: { PATH: process.env['PATH'], NODE_ENV: 'test', DATABASE_URL: server.url(DATABASE), ...env },
  });
}

/** Waits for the sessions, too: they outlive their server for a moment, and meanwhile no other server starts on the data. */
async function killServer(server: EmbeddedPostgres): Promise<void> {
  const { pid } = server;
  // The server is stopped first, so that it begins no more sessions while this code lists them.
  process.kill(pid, 'SIGSTOP');
  const theirs = new Set(await sessionsOf(pid));
  server.kill();
  await server.ended;
  await until(async () => {
    // A process that has ended, but whose exit code its parent has not read, has no command line.
    const left = (await runningProcesses()).filter((one) => theirs.has(one.pid) && /postgres/.test(one.line));
    return left.length === 0;
  }, 'the end of the sessions of a killed PostgreSQL');
}

async function sessionsOf(server: number): Promise<number[]> {
  return (await runningProcesses()).filter(({ parent }) => parent === server).map(({ pid }) => pid);
}

/** Sends a signal to a session, which may have ended meanwhile. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
