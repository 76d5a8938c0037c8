import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from '#process/root.js';

const LENGTH = 60;

export const flat = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** A statement's short name: what it writes, or how it begins. BullMQ's begin with a comment that says what they do. */
export function statementLabel(text: string): string {
  const comment = /^\s*--\s*(.*)/.exec(text)?.[1];
  if (comment !== undefined) return comment.slice(0, LENGTH);
  const writes = flat(text).matchAll(/\b(?:INSERT INTO|DELETE FROM|(?<!\b(?:FOR|DO) )UPDATE) "?\w+/g);
  return [...new Set([...writes].map(([write]) => write))].join(', ') || flat(text).slice(0, LENGTH);
}

/** Names of scripts, by the beginnings of their hashes. */
let scripts: ReadonlyMap<string, string> | undefined;

/** A command's name. For a script of BullMQ it is the script's name. */
export function commandLabel(name: string): string {
  const hash = /^EVALSHA (\w+)/.exec(name)?.[1];
  if (hash === undefined) return name;
  scripts ??= scriptNames();
  return scripts.get(hash) ?? name;
}

/** BullMQ does not export its scripts, so they are read from their files. */
function scriptNames(): ReadonlyMap<string, string> {
  const require = createRequire(import.meta.url);
  const all = require(join(ROOT, 'node_modules/bullmq/dist/cjs/scripts/index.js')) as Record<string, unknown>;
  const named = Object.values(all).filter(
    (one): one is { name: string; content: string } => typeof (one as { content?: unknown }).content === 'string',
  );
  return new Map(
    named.map(({ name, content }) => [createHash('sha1').update(content).digest('hex').slice(0, 8), name]),
  );
}
