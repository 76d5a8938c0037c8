import { join } from 'node:path';
import { ROOT } from '#process/root.js';

/** Path of `openapi.yaml`, at the top of the project. */
export const CONTRACT_FILE = join(ROOT, 'openapi.yaml');
