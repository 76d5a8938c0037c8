import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * `npm start` leaves its address in the file `address` below DATA_DIR. There `npm run chat`, `npm run playground` and the tour's commands
 * find the service on any port.
 */

const fileOf = (dataDir: string): string => join(dataDir, 'address');

/** Leaves the address. @returns a function that removes it, unless another start has left its own meanwhile */
export function leaveAddress(dataDir: string, address: string): () => void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(fileOf(dataDir), `${address}\n`);
  } catch {
    // With a database and a secret of the user's own, nothing else needs DATA_DIR. The service works without the file.
  }
  return () => {
    if (leftAddress(dataDir) === address) rmSync(fileOf(dataDir), { force: true });
  };
}

/** The address in the file; undefined when there is none, or it cannot be read. */
export function leftAddress(dataDir: string): string | undefined {
  try {
    return readFileSync(fileOf(dataDir), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
