import { readFileSync } from 'node:fs';

/** Open files that the process needs besides its clients' connections: for its stores, and files that it reads. */
const KEPT_FILES = 200;

/** How many connections there may be: as many as wanted, or as the system's limit on open files allows. */
export function mostConnections(wanted: number, files = mostOpenFiles()): number {
  return Math.max(1, Math.min(wanted, files - KEPT_FILES));
}

/** How many files this process may open (on Linux; elsewhere it is not read). Node has raised the limit as far as it may. */
function mostOpenFiles(): number {
  try {
    return openFilesIn(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return Infinity;
  }
}

/** The current limit, in the form of proc(5). */
export function openFilesIn(limits: string): number {
  return Number(/^Max open files +(\d+) /m.exec(limits)?.[1] ?? Infinity);
}
