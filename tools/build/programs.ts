import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Build } from './build-once.js';
import { makeCodeCache } from './code-cache.js';

const PROGRAMS = {
  api: 'dist/apps/api/src/main.js',
  worker: 'dist/apps/worker/src/main.js',
  migrate: 'dist/apps/migrate/src/main.js',
  // For operators who have only the image.
  token: 'dist/tools/token.js',
  // Read by API and worker only if traces are kept. It is a megabyte.
  traces: 'dist/libs/telemetry/src/traces-sdk.js',
  // Read by a worker only if a proxy is on the way to the model. It is a megabyte, too.
  proxy: 'dist/apps/worker/src/model/through-proxy.js',
  // Read by API and worker only if there are MCP servers. It is most of a megabyte.
  mcp: 'dist/libs/mcp/src/mcp-sdk.js',
  // Read by a worker only if MODEL_PROVIDER says so. They bring a second copy of the model's SDK, with the libraries of AWS or Google.
  bedrock: 'dist/apps/worker/src/model/bedrock-sdk.js',
  vertex: 'dist/apps/worker/src/model/vertex-sdk.js',
};

/** Packages whose files the programs read. They must be in `node_modules` beside the programs. */
export const BESIDE = ['swagger-ui-dist'] as const;

/**
 * The programs that ship: for each, a bundle of all that it needs, its code cache, and two lines that start it. Node then reads one file
 * instead of two thousand and parses almost nothing, so a process starts with a quarter of the work. The bundles are made of `tsc`'s
 * output.
 */
export const programs: Build = {
  out: 'dist/bin',
  inputs: [
    ...['dist/apps/api', 'dist/apps/worker', 'dist/apps/migrate', 'dist/libs', 'dist/tools/build'],
    ...['dist/tools/token.js', 'dist/tools/sign-token.js', 'package-lock.json'],
  ],
  counts: (path) => (path.endsWith('.js') ? !path.endsWith('.spec.js') : path === 'package-lock.json'),
  // A code cache works only in the Node that made it.
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

/** The file that is started, as in `node dist/bin/api.js`, or imported. */
function starter(name: string, exports: readonly string[]): string {
  const given = exports.length > 0 ? `export const { ${exports.join(', ')} } = ` : '';
  return `import { load } from './launch.js';\n\n${given}load(\`\${import.meta.dirname}/${name}.cjs\`).run();\n`;
}
