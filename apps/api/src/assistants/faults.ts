import { StartFault } from '#errors/start-fault.js';

/** Where a value stands in the file: keys of mappings, and places in lists from 0 on. */
export type Path = readonly (string | number)[];

/** A fault of a value, as the end of a sentence: `must be a list`. */
export interface Fault {
  readonly path: Path;
  readonly words: string;
}

/** Collects the faults of a file, so that all are named at once. */
export class Faults {
  readonly all: Fault[] = [];

  /** @param words must not quote the file: a misplaced line may be a part of a system prompt */
  add(path: Path, words: string): void {
    this.all.push({ path, words });
  }
}

/** The file cannot be used. The message has all its faults. */
export class AssistantsFileError extends StartFault {
  constructor(path: string, faults: readonly string[]) {
    super(`ASSISTANTS_FILE ${path} cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

/** Keys and slugs that a message may repeat. Others may be lines of a prompt. */
const SHOWABLE = /^[\w.$-]{1,64}$/;

/** Whether a message may repeat this key of a mapping. */
export function isShowable(key: string): boolean {
  return SHOWABLE.test(key);
}

/** A fault as a sentence that names the assistant and the field: `"support": tools[1].url must …`. */
export function sentence({ path, words }: Fault, document: unknown): string {
  const [list, entry, ...field] = path;
  if (list !== 'assistants' || typeof entry !== 'number') return [shown(path), words].filter(Boolean).join(' ') + '.';
  const named = slugOf((document as { assistants: readonly unknown[] }).assistants[entry]);
  return `${named ?? `entry ${entry + 1}`}: ${[shown(field), words].filter(Boolean).join(' ')}.`;
}

function slugOf(entry: unknown): string | undefined {
  const slug = (entry as { slug?: unknown } | null | undefined)?.slug;
  return typeof slug === 'string' && isShowable(slug) ? `"${slug}"` : undefined;
}

function shown(path: Path): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : isShowable(key) ? `.${key}` : '[…]'))
    .join('')
    .replace(/^\./, '');
}
