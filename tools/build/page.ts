import { join } from 'node:path';
import { ROOT } from '#process/root.js';
import type { Build } from './build-once.js';

/** The playground. Vite is loaded only when there is something to build. */
export const page: Build = {
  out: 'dist/apps/playground',
  inputs: [
    'apps/playground',
    'libs/client/src',
    'libs/client/package.json',
    'libs/client/tsconfig.json',
    'libs/contract/src/openapi.gen.ts',
    'dist/tools/build/page.js',
    'package-lock.json',
  ],
  build: async (into) => {
    const { build } = await import('vite');
    const configFile = join(ROOT, 'apps/playground/vite.config.ts');
    await build({ configFile, logLevel: 'warn', build: { outDir: into, emptyOutDir: true } });
  },
};
