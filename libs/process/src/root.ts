import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The top of the project: the nearest directory above this module, built or not, that has `openapi.yaml`. */
export const ROOT = rootAbove(import.meta.dirname);

/** The contract. */
export const CONTRACT_FILE = join(ROOT, 'openapi.yaml');

function rootAbove(directory: string): string {
  if (existsSync(join(directory, 'openapi.yaml'))) return directory;
  const above = dirname(directory);
  if (above === directory) throw new Error('There is no openapi.yaml above the program: it must stay in its project.');
  return rootAbove(above);
}
