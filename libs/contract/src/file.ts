import { fileURLToPath } from 'node:url';

/** Path of `openapi.yaml`, at the top of the project; this module runs from `dist/libs/contract/src`. */
export const CONTRACT_FILE = fileURLToPath(new URL('../../../../openapi.yaml', import.meta.url));
