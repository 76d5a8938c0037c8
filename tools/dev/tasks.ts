import type { NamedPrograms } from '../by-name.js';

/** Tasks that developers run now and then. Daily ones are npm scripts of their own. */
export const TASKS: NamedPrograms = {
  boundaries: {
    does: 'finds imports that do not point from apps to libs, and circles',
    file: 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
    args: ['--config', '.dependency-cruiser.cjs', 'dist/apps', 'dist/libs', 'dist/tools'],
  },
  packages: {
    does: 'checks the lock file, and asks for known advisories of the packages that ship',
    file: 'dist/tools/packages.js',
  },
  schema: {
    does: 'writes libs/database/schema.sql, after a change of the migrations',
    file: 'dist/test/schema/by-hand.js',
  },
  image: {
    does: 'builds what the Dockerfile says, without a container engine, and tries it',
    file: 'dist/test/image/by-hand.js',
  },
  soak: {
    takes: '[MINUTES] [SEED] [--ports FROM-TO]',
    does: 'kills parts at random under load (10 minutes), and reports what broke',
    file: 'dist/test/faults/soak.js',
  },
};
