import { join } from 'node:path';
import { ROOT } from '#process/root.js';
import type { Build } from './build-once.js';

const PROGRAMS = {
  api: 'dist/apps/api/src/main.js',
  worker: 'dist/apps/worker/src/main.js',
  migrate: 'dist/libs/database/src/migrate.js',
  // Read by api and worker only where traces are kept: it is a megabyte that the others need not read.
  traces: 'dist/libs/telemetry/src/traces-sdk.js',
};

/** The one part of a program that is a file of its own, beside it. */
const tracesApart = {
  name: 'traces-apart',
  resolveId: {
    filter: { id: /^#telemetry\/traces-sdk\.js$/ },
    handler: () => ({ id: './traces.js', external: true }),
  },
};

/** Packages whose files the programs read: they must stand in `node_modules` beside them. */
export const BESIDE = ['swagger-ui-dist', '@bull-board/ui'] as const;

/** Bull Board would look for its page's files by evaluating text. It is told where they are: see `UI` in the API's board. */
const boardWithoutEval = {
  name: 'board-without-eval',
  transform: {
    filter: { id: /@bull-board\/api\/dist\/index\.js$/ },
    handler: (code: string): string => code.replace(/eval\(`[^`]*`\)/, "''"),
  },
};

/**
 * @nestjs/typeorm looks at run time for two exports that TypeORM 1 no longer has, and would load a second TypeORM from
 * `node_modules` for it.
 */
const withoutSecondTypeorm = {
  name: 'without-second-typeorm',
  transform: {
    filter: { id: /@nestjs\/typeorm\/dist\/common\/typeorm-compat\.js$/ },
    handler: (code: string): string => code.replace("require('typeorm')", '{}'),
  },
};

/**
 * The programs that ship: one file each, with all that it needs. Node reads that instead of two thousand, and a process is up in
 * half the time. They are made of what `tsc` wrote. Names and comments stay, so that a stack trace can be read.
 */
export const programs: Build = {
  out: 'dist/bin',
  inputs: ['dist/apps/api', 'dist/apps/worker', 'dist/libs', 'dist/tools/build', 'package-lock.json'],
  counts: (path) => (path.endsWith('.js') ? !path.endsWith('.spec.js') : path === 'package-lock.json'),
  build: async (into) => {
    const { rolldown } = await import('rolldown');
    for (const [name, input] of Object.entries(PROGRAMS)) {
      const bundle = await rolldown({
        cwd: ROOT,
        input: join(ROOT, input),
        platform: 'node',
        plugins: [withoutSecondTypeorm, boardWithoutEval, tracesApart],
        onLog: (level, log, report) => {
          // A package that another can work with, and that is not installed: asked for at run time, as without a bundle.
          if (log.code === 'UNRESOLVED_IMPORT' && log.id?.includes('node_modules')) return;
          report(level === 'warn' ? 'error' : level, log);
        },
      });
      await bundle.write({
        file: join(into, `${name}.js`),
        format: 'esm',
        codeSplitting: false,
        // Packages of the old kind ask where their own file is.
        banner: 'const __dirname = import.meta.dirname, __filename = import.meta.filename;',
      });
      await bundle.close();
    }
  },
};
