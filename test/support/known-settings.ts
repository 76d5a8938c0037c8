import { readFileSync } from 'node:fs';

/** The names of all settings, as `.env.example` lists them. */
export function knownSettings(): ReadonlySet<string> {
  const lines = readFileSync('.env.example', 'utf8').matchAll(/^#?([A-Z][A-Z0-9_]*)=/gm);
  return new Set([...lines].map(([, name = '']) => name));
}
