import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from './free-port.js';
import { keptSecret } from '#settings/development-secret.js';
import { type Account, dataPlace, postgresBinaries, unprivilegedAccount } from './postgres-place.js';

export interface EmbeddedPostgresOptions {
  /** The directory of all data. */
  readonly dataDir: string;
  /** Default: a free port. */
  readonly port?: number;
  /** False: the data is removed when the server ends, also because this process was killed. */
  readonly persistent: boolean;
  /** Trades durability for speed; for tests only. */
  readonly fast?: boolean;
}

/** A PostgreSQL server of our own. */
export interface EmbeddedPostgres {
  readonly port: number;
  readonly pid: number;
  /** The directory with its data. */
  readonly place: string;
  /** Resolves when the server has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** The address of a database on it, with the password. */
  url(database?: string): string;
  /** Fast shutdown: ends the sessions, and loses nothing. */
  stop(): Promise<void>;
  /** Sends SIGKILL, for tests of what happens then. */
  kill(): void;
}

/** Thrown when another process runs on the same data. */
export class PostgresInUseError extends Error {
  constructor(dataDir: string) {
    super(`The embedded PostgreSQL under ${dataDir} is in use. Is \`npm start\` running already? Else set DATA_DIR.`);
    this.name = 'PostgresInUseError';
  }
}

const USER = 'rejoinder';
const GUARD = join(import.meta.dirname, 'postgres-guard.js');
const START_TIMEOUT_MS = 30_000;

/** How many of PostgreSQL's last log lines are shown when it does not start. */
const LAST_LINES = 8;

/**
 * Starts PostgreSQL from npm's binaries, on 127.0.0.1 only, with a random password that is kept beside the data. It works as an ordinary
 * user and as root: then the server runs as an unprivileged account, on data that the account can reach. The server ends when this process
 * does, even by SIGKILL.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  refuseAnothersData(dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const account = unprivilegedAccount();
  const place = dataPlace(dataDir, account);
  const binaries = postgresBinaries(account);
  const password = keptSecret(dataDir, 'postgres-password');
  const cluster = join(place, 'postgres');

  if (inUse(cluster)) throw new PostgresInUseError(options.dataDir);
  if (!existsSync(cluster)) initialise(cluster, place, binaries.initdb, { password, account, fast: options.fast });

  const port = options.port ?? (await freePort());
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    max_connections: '200',
    log_min_messages: 'warning',
    ...(options.fast && { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const removed = options.persistent ? [] : [...new Set([place, dataDir])];
  const guard = spawn(
    process.execPath,
    [GUARD, JSON.stringify(identity(account)), JSON.stringify(removed), binaries.postgres, '-D', cluster, ...args],
    {
      // The guard ends the server when this pipe closes, so a killed parent leaves no server behind.
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      cwd: '/',
    },
  );
  let log = '';
  guard.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-20_000)));
  let pid = 0;
  guard.stdout.on('data', (chunk: Buffer) => (pid = Number(/pid (\d+)/.exec(chunk.toString())?.[1] ?? pid)));
  guard.stdin.on('error', () => undefined);
  const ended = once(guard, 'exit').then(() => undefined);

  const url = (database = 'rejoinder'): string => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  await untilReady(url('postgres'), () => guard.exitCode !== null).catch((cause: unknown) => {
    guard.stdin.end();
    if (/lock file "postmaster.pid" already exists/.test(log)) throw new PostgresInUseError(options.dataDir);
    const last = log.trim().split('\n').slice(-LAST_LINES).join('\n');
    throw new Error(
      `The embedded PostgreSQL on the data in ${cluster} does not start:\n${last}\n` +
        'Move that directory away to begin anew, without its data.',
      { cause },
    );
  });
  return {
    port,
    place,
    ended,
    get pid() {
      return pid;
    },
    url,
    stop: async () => {
      guard.stdin.end();
      await ended;
    },
    kill: () => process.kill(pid, 'SIGKILL'),
  };
}

/** Refuses data that another kind of account made. A new cluster beside it would look like lost data. @throws Error that names the owner */
export function refuseAnothersData(dataDir: string): void {
  if (!existsSync(dataDir)) return;
  const me = process.getuid?.();
  const advice = 'Start as that user, or set DATA_DIR to another directory.';
  if (me === 0 && existsSync(join(dataDir, 'postgres'))) {
    throw new Error(`${dataDir} holds the data of an ordinary user, and this is root. ${advice}`);
  }
  if (me !== undefined && me !== 0 && statSync(dataDir).uid !== me) {
    throw new Error(`${dataDir} belongs to another user (to root, if \`npm start\` ran as root). ${advice}`);
  }
}

/** Makes the cluster under another name first, so that a cluster in place is complete even if this process dies in between. */
function initialise(
  cluster: string,
  place: string,
  initdb: string,
  { password, account, fast }: { password: string; account: Account | undefined; fast: boolean | undefined },
): void {
  const half = join(place, `initdb-${randomBytes(4).toString('hex')}`);
  // A file gives the password, because all users of the machine can see arguments.
  const file = `${half}-password`;
  writeFileSync(file, password, { mode: 0o600 });
  if (account) chownSync(file, account.uid, account.gid);
  const options = ['-U', USER, '-A', 'scram-sha-256', `--pwfile=${file}`, '-E', 'UTF8'];
  const locale = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  // Each connection pays for the strength of the password, which is worth nothing to a test.
  if (fast) options.push('--set', 'scram_iterations=1');
  try {
    const made = spawnSync(initdb, ['-D', half, ...options, ...locale], {
      ...identity(account),
      cwd: '/',
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    });
    if (made.status !== 0) throw new Error(`initdb failed: ${made.error?.message ?? ''}${made.stderr}`);
    renameSync(half, cluster);
  } catch (error) {
    // Another start at the same moment was quicker. Its cluster serves both.
    if (!existsSync(join(cluster, 'PG_VERSION'))) throw error;
  } finally {
    rmSync(file, { force: true });
    rmSync(half, { recursive: true, force: true });
  }
}

function identity(account: Account | undefined): { uid?: number; gid?: number } {
  return account ? { uid: account.uid, gid: account.gid } : {};
}

/** The process that the data names as its server is a living PostgreSQL. */
function inUse(cluster: string): boolean {
  const file = join(cluster, 'postmaster.pid');
  if (!existsSync(file)) return false;
  const pid = Number(readFileSync(file, 'utf8').split('\n', 1)[0]);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  // Another program may have the process number now. PostgreSQL would refuse to start because of it.
  const command = existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : 'postgres';
  if (command.includes('postgres')) return true;
  rmSync(file);
  return false;
}

async function untilReady(url: string, gone: () => boolean): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      // A server that runs without this database will never have it.
      const hopeless = gone() || (error as { code?: string }).code === '3D000';
      if (hopeless || Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}
