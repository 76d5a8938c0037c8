import { readFileSync } from 'node:fs';

/** Files that the process needs beside its clients' connections: those to its stores, and what it reads. */
const KEPT_FILES = 200;

/** How many connections there may be: as many as are wanted, or as many as the system lets a process have open. */
export function mostConnections(wanted: number, files = mostOpenFiles()): number {
  return Math.max(1, Math.min(wanted, files - KEPT_FILES));
}

/** How many files this process may have open (on Linux; elsewhere it is not asked). Node has raised it as far as it may. */
function mostOpenFiles(): number {
  try {
    return openFilesIn(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return Infinity;
  }
}

/** The limit that is in force, in the form of proc(5). */
export function openFilesIn(limits: string): number {
  return Number(/^Max open files +(\d+) /m.exec(limits)?.[1] ?? Infinity);
}
