import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheOf, load } from './launch.js';

/** How long the program may take to find that there is no database, in milliseconds. */
const TIMEOUT_MS = 60_000;

/** Enough for a start that fails at the database. */
const ENVIRONMENT = {
  NODE_ENV: 'test',
  LOG_LEVEL: 'error',
  DATABASE_URL: 'postgres://127.0.0.1:1/none',
  JWT_SECRET: 'a secret for the build, known to all',
  ANTHROPIC_API_KEY: 'none',
};

/**
 * Makes the code cache of the program `file`, for this Node. It runs the program, because V8 caches only functions that were called: those
 * that make its modules, and those of its start, until it fails without a database. @throws Error with the program's output, when there is
 * no code cache
 */
export async function makeCodeCache(file: string): Promise<void> {
  const printed = await new Promise<string>((resolve) => {
    const options = { cwd: dirname(file), env: ENVIRONMENT, timeout: TIMEOUT_MS };
    execFile(process.execPath, [fileURLToPath(import.meta.url), file], options, (_error, stdout, stderr) => {
      resolve(stdout + stderr);
    });
  });
  if (!existsSync(cacheOf(file, readFileSync(file)))) throw new Error(`No code cache was made of ${file}:\n${printed}`);
}

/* The process that `makeCodeCache` starts. */
const [, self, file] = process.argv;
if (self === fileURLToPath(import.meta.url) && file !== undefined) {
  const { script, run } = load(file);
  process.on('exit', () => writeFileSync(cacheOf(file, readFileSync(file)), script.createCachedData()));
  run();
}
