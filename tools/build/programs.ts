import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Build } from './build-once.js';
import { makeCodeCache } from './code-cache.js';

const PROGRAMS = {
  api: 'dist/apps/api/src/main.js',
  worker: 'dist/apps/worker/src/main.js',
  migrate: 'dist/apps/migrate/src/main.js',
  // For operators who have the image and nothing else.
  token: 'dist/tools/token.js',
  // Read by api and worker only where traces are kept: it is a megabyte that the others need not read.
  traces: 'dist/libs/telemetry/src/traces-sdk.js',
  // Read by a worker only where a proxy is on the way to the model: it is a megabyte, too.
  proxy: 'dist/apps/worker/src/model/through-proxy.js',
};

/** Packages whose files the programs read: they must stand in `node_modules` beside them. */
export const BESIDE = ['swagger-ui-dist'] as const;

/**
 * The programs that ship: one bundle each, with all that it needs, its code cache, and two lines that start it. Node reads that
 * instead of two thousand files, and parses next to nothing: a process is up with a quarter of the work. They are made of what `tsc`
 * wrote.
 */
export const programs: Build = {
  out: 'dist/bin',
  inputs: [
    ...['dist/apps/api', 'dist/apps/worker', 'dist/apps/migrate', 'dist/libs', 'dist/tools/build'],
    ...['dist/tools/token.js', 'dist/tools/sign-token.js', 'package-lock.json'],
  ],
  counts: (path) => (path.endsWith('.js') ? !path.endsWith('.spec.js') : path === 'package-lock.json'),
  // A code cache is of use to the Node that made it.
  madeBy: `${process.version} ${process.arch}`,
  build: async (into) => {
    const { bundle } = await import('./bundle.js');
    copyFileSync(join(import.meta.dirname, 'launch.js'), join(into, 'launch.js'));
    const bundles: string[] = [];
    for (const [name, input] of Object.entries(PROGRAMS)) {
      const file = join(into, `${name}.cjs`);
      const { code, exports } = await bundle(input);
      writeFileSync(file, code);
      writeFileSync(join(into, `${name}.js`), starter(name, exports));
      bundles.push(file);
    }
    await Promise.all(bundles.map(makeCodeCache));
  },
};

/** What is started, as in `node dist/bin/api.js`, or imported. */
function starter(name: string, exports: readonly string[]): string {
  const given = exports.length > 0 ? `export const { ${exports.join(', ')} } = ` : '';
  return `import { load } from './launch.js';\n\n${given}load(\`\${import.meta.dirname}/${name}.cjs\`).run();\n`;
}
