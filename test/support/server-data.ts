import { accessSync, constants, statfsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where Linux has files in memory, and how `statfs` names their file system. */
const IN_MEMORY = '/dev/shm';
const TMPFS = 0x01021994;

/** The free bytes that a run asks for. It uses a quarter of them. A container often has 64 MB there. */
const ROOM = 4e9;

/** The directory of this run, for the processes that run its test files. */
const RUN = 'TEST_DATA';

/**
 * Makes the directory for the data of all servers of this run: in memory if there is room, since a disk doubles the work of copying a
 * database and of removing it. `TMPDIR` comes first. The guard of the run's PostgreSQL removes it, even if this process is killed.
 */
export async function makeRunData(): Promise<string> {
  const home = process.env['TMPDIR'] === undefined && hasRoom() ? IN_MEMORY : tmpdir();
  const made = await mkdtemp(join(home, 'rejoinder-test-'));
  process.env[RUN] = made;
  return made;
}

/** Makes a directory for the data of one more server: below the run's, or outside of a run, as in a bench, on the disk. */
export function makeServerData(name: string): Promise<string> {
  return mkdtemp(join(process.env[RUN] ?? tmpdir(), `rejoinder-${name}-`));
}

function hasRoom(): boolean {
  try {
    accessSync(IN_MEMORY, constants.W_OK);
    const { type, bavail, bsize } = statfsSync(IN_MEMORY);
    return type === TMPFS && bavail * bsize >= ROOM;
  } catch {
    return false;
  }
}
