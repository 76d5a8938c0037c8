/** Why a write to the disk fails, by the error's code. */
const DISK: Readonly<Record<string, string>> = {
  EACCES: 'may not be written to',
  EPERM: 'may not be written to',
  EROFS: 'may not be written to',
  ENOSPC: 'is full',
  EDQUOT: 'is full',
  ENOTDIR: 'is no directory',
  EEXIST: 'is no directory',
};

/** PostgreSQL's messages for a full or read-only disk. */
const IN_WORDS: readonly (readonly [RegExp, string])[] = [
  [/No space left on device|Disk quota exceeded/i, 'is full'],
  [/Permission denied|Read-only file system/i, 'may not be written to'],
];

/**
 * Why `npm start` failed: one line for a fault of the disk, else the error's message. `dataDir` is the directory of the embedded
 * PostgreSQL; undefined for the user's own database, whose disk is elsewhere.
 */
export function plainly(error: unknown, dataDir: string | undefined): string {
  if (!(error instanceof Error)) return String(error);
  const { code = '', path } = error as NodeJS.ErrnoException;
  if (path !== undefined && DISK[code] !== undefined) {
    return sentence(dataDir !== undefined && path.startsWith(dataDir) ? dataDir : path, DISK[code]);
  }
  const known = dataDir === undefined ? undefined : IN_WORDS.find(([words]) => words.test(error.message));
  return known === undefined || dataDir === undefined ? error.message : sentence(dataDir, known[1]);
}

function sentence(path: string, trouble: string): string {
  const what = trouble === 'is full' ? `The disk of ${path}` : path;
  return `${what} ${trouble}. Set DATA_DIR to a directory where data can be kept.`;
}
