import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '#process/root.js';

/** A program that people start by its name: `npm run dev -- soak 5`. */
export interface NamedProgram {
  /** Its purpose, in one line. */
  readonly does: string;
  /** The arguments that it takes, for the list. */
  readonly takes?: string;
  /** Its file, relative to the project. */
  readonly file: string;
  /** Arguments before those of the command line. */
  readonly args?: readonly string[];
}

export type NamedPrograms = Readonly<Record<string, NamedProgram>>;

/** One line for each program. `command` is the npm script that runs them. */
export function listOf(command: string, programs: NamedPrograms): string {
  const lines = Object.entries(programs).map(
    ([name, { takes, does }]) => [usageOf(command, name, takes), does] as const,
  );
  const width = Math.max(...lines.map(([usage]) => usage.length));
  return lines.map(([usage, does]) => `  ${usage.padEnd(width)}   ${does}`).join('\n');
}

/**
 * Runs the program of that name in this process, which gives it the signals and its exit code. With `--help` it prints the program's line
 * instead. An unknown name prints `list` and ends with 2.
 */
export async function runByName(
  command: string,
  programs: NamedPrograms,
  list: string,
  [name = '', ...args]: readonly string[],
): Promise<void> {
  const program = Object.hasOwn(programs, name) ? programs[name] : undefined;
  if (program === undefined) {
    console.error(`There is no ${JSON.stringify(name)}.\n\n${list}`);
    process.exitCode = 2;
    return;
  }
  if (args.includes('--help')) {
    console.log(listOf(command, { [name]: program }));
    return;
  }
  const file = join(ROOT, program.file);
  process.argv.splice(1, Infinity, file, ...(program.args ?? []), ...args);
  await import(pathToFileURL(file).href);
}

function usageOf(command: string, name: string, takes?: string): string {
  return [`npm run ${command} --`, name, takes].filter(Boolean).join(' ');
}
