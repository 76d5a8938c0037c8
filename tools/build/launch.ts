import { isAscii } from 'node:buffer';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import vm from 'node:vm';

/** A program that was read and compiled, and does not run yet. */
export interface Program {
  readonly script: vm.Script;
  /** Runs it, and returns what it exports. */
  readonly run: () => object;
}

/**
 * Reads the program `file`, as `bundle.ts` made it, and its code cache: what V8 had made of the same text at build time. With it a
 * start costs half, as most of a start is parsing. V8 refuses a cache made with other flags (`--expose-gc` is one); for another
 * Node there is none. The program runs all the same. Nothing is ever written.
 *
 * This file ships beside the programs and must need nothing but Node.
 */
export function load(file: string): Program {
  const bytes = readFileSync(file);
  // Text known to be ASCII need not be decoded.
  const text = isAscii(bytes) ? bytes.toString('latin1') : bytes.toString();
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname, __import) {${text}\n})`, {
    // Without its place: a stack trace would name the one where the cache was made.
    filename: basename(file),
    cachedData: ifThere(cacheOf(file, bytes)),
  });
  const run = (): object => {
    const module = { exports: {} };
    const main = script.runInThisContext() as (...scope: unknown[]) => void;
    // What is imported by a path is looked for beside this file: that is beside the program.
    main(module.exports, createRequire(file), module, file, dirname(file), (name: string) => import(name));
    return module.exports;
  };
  return { script, run };
}

/** Where the code cache of a program is, if there is one. Its text counts, too: V8 compares no more than its length. */
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
