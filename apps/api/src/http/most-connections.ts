import { readFileSync } from 'node:fs';

/** Open files that the process needs besides its clients' connections: for its stores, and files that it reads. */
const KEPT_FILES = 200;

/** How many connections there may be: the wanted number, or fewer if the system's limit on open files is lower. */
export function mostConnections(wanted: number, files = mostOpenFiles()): number {
  return Math.max(1, Math.min(wanted, files - KEPT_FILES));
}

/** How many files this process may open; known on Linux only. Node has already raised the limit as far as it may. */
function mostOpenFiles(): number {
  try {
    return openFilesIn(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return Infinity;
  }
}

/** Reads the current limit from the text of `/proc/self/limits` (proc(5)). */
export function openFilesIn(limits: string): number {
  return Number(/^Max open files +(\d+) /m.exec(limits)?.[1] ?? Infinity);
}
