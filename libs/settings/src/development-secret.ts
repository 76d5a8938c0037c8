import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The secret for tokens if none is set, in development: kept under DATA_DIR. */
export function developmentSecret(dataDir: string): string {
  return keptSecret(dataDir, 'jwt-secret');
}

/** The secret that signs requests to tools if none is set and `npm start` runs: kept under DATA_DIR, in the form of `TOOLS_SECRET`. */
export function developmentToolsSecret(dataDir: string): string {
  return keptSecret(dataDir, 'tools-secret', newToolsSecret);
}

/** A new secret in the form of `TOOLS_SECRET`. */
export function newToolsSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/**
 * The secret in the file `name` below `directory`: random, made once, readable only by its owner. Processes that ask at the same moment get
 * the same secret.
 *
 * @param make makes the secret; left out: 32 bytes as base64url
 */
export function keptSecret(
  directory: string,
  name: string,
  make = (): string => randomBytes(32).toString('base64url'),
): string {
  const file = join(directory, name);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // Written whole, then linked: so the name never appears without its content, and only the first of several processes makes it.
  const mine = `${file}-${randomBytes(6).toString('hex')}`;
  writeFileSync(mine, make(), { mode: 0o600, flag: 'wx' });
  try {
    linkSync(mine, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(mine);
  }
  return readFileSync(file, 'utf8').trim();
}
