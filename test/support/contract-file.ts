import { readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import { CONTRACT_FILE } from '#process/root.js';

/** Where the contract is stored as JSON while tests run. Each test file reads it, and JSON is read twenty times as fast as YAML. */
const KEPT = 'TEST_CONTRACT';

/** Stores the contract for this run, in the file `path`. */
export function keepContract(path: string): void {
  writeFileSync(path, JSON.stringify(parse(readFileSync(CONTRACT_FILE, 'utf8'))));
  process.env[KEPT] = path;
}

/** `openapi.yaml`. */
export function readContract(): Record<string, unknown> {
  const kept = process.env[KEPT];
  const document: unknown =
    kept === undefined ? parse(readFileSync(CONTRACT_FILE, 'utf8')) : JSON.parse(readFileSync(kept, 'utf8'));
  return document as Record<string, unknown>;
}
