import { isAscii } from 'node:buffer';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import vm from 'node:vm';

// The HTTP parser of Node's `fetch` is WebAssembly. V8 optimises it after the first answers, which takes a quarter of all CPU of a worker's
// start and makes it no faster. The flag must be set before a code cache is made or read.
setFlagsFromString('--wasm-tiering-budget=2000000000');

/** A program that is read and compiled, and does not run yet. */
export interface Program {
  readonly script: vm.Script;
  /** Runs the program, and returns its exports. */
  readonly run: () => object;
}

/**
 * Reads the program `file`, which `bundle.ts` made, and its code cache, which V8 made of the same text at build time. The cache halves the
 * time of a start, which is mostly parsing. V8 refuses a cache that was made with other flags (such as `--expose-gc`), and there
 * is none for another Node; then the program runs without it. Nothing is ever written.
 *
 * This file ships beside the programs, so it must need nothing but Node.
 */
export function load(file: string): Program {
  const bytes = readFileSync(file);
  // ASCII text need not be decoded.
  const text = isAscii(bytes) ? bytes.toString('latin1') : bytes.toString();
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname, __import) {${text}\n})`, {
    // The name without its directory: otherwise a stack trace would show where the cache was made.
    filename: basename(file),
    cachedData: ifThere(cacheOf(file, bytes)),
  });
  const run = (): object => {
    const module = { exports: {} };
    const main = script.runInThisContext() as (...scope: unknown[]) => void;
    // A relative import is looked for beside this file, which is beside the program.
    main(module.exports, createRequire(file), module, file, dirname(file), (name: string) => import(name));
    return module.exports;
  };
  return { script, run };
}

/** The path of a program's code cache, if there is one. It depends on the program's text, because V8 compares only the text's length. */
export function cacheOf(file: string, bytes: Uint8Array): string {
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  return `${file}.${process.version}-${process.arch}-${digest}.cache`;
}

function ifThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
