import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * `npm start` leaves its address in the file `address` below DATA_DIR, for what is run beside it: `npm run chat`, `npm run playground` and
 * the tour's lines find the service on any port.
 */

const fileOf = (dataDir: string): string => join(dataDir, 'address');

/** Leaves the address. @returns what takes it away again, unless another start has left its own meanwhile */
export function leaveAddress(dataDir: string, address: string): () => void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(fileOf(dataDir), `${address}\n`);
  } catch {
    // With a database and a secret of the user's own, nothing else is kept there: the service is as good without.
  }
  return () => {
    if (leftAddress(dataDir) === address) rmSync(fileOf(dataDir), { force: true });
  };
}

/** The address that was left; undefined where none is, or may be read. */
export function leftAddress(dataDir: string): string | undefined {
  try {
    return readFileSync(fileOf(dataDir), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
