import { execFile } from 'node:child_process';
import { resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type ts from 'typescript';

/** A program of one file. The options are those of a tsconfig.json. */
export interface Program {
  readonly file: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Compiles programs of the directory `home` as `tsc` does, and says for each what is wrong in it, which is nothing if it is ''. One process
 * compiles them all and reads each declaration once, because `tsc` spends most of its time on its start and on the libraries' declarations.
 * It checks all files in `home`, with the packages there. Others' declarations it only reads, such as those of Node.
 */
export async function compile<Name extends string>(
  home: string,
  programs: Readonly<Record<Name, Program>>,
): Promise<Record<Name, string>> {
  const args = [fileURLToPath(import.meta.url), JSON.stringify(programs)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: home });
  return JSON.parse(stdout) as Record<Name, string>;
}

/** Compiles the programs of the current directory. */
async function compileHere(programs: Readonly<Record<string, Program>>): Promise<Record<string, string>> {
  const { default: ts } = await import('typescript');
  const home = resolve('.') + sep;
  const read = new Map<string, ts.SourceFile | undefined>();

  const problemsOf = ({ file, options }: Program): string => {
    const { options: all, errors } = ts.convertCompilerOptionsFromJson(options, home);
    const host = ts.createCompilerHost(all);
    const parse = host.getSourceFile.bind(host);
    host.getSourceFile = (name, how, ...rest) => {
      if (!/\.d\.[cm]?ts$/.test(name)) return parse(name, how, ...rest);
      const key = JSON.stringify([name, how]);
      if (!read.has(key)) read.set(key, parse(name, how, ...rest));
      return read.get(key);
    };
    const program = ts.createProgram({ rootNames: [file], options: all, host });
    const own = program.getSourceFiles().filter(({ fileName }) => resolve(fileName).startsWith(home));
    const problems = [
      ...errors,
      ...program.getOptionsDiagnostics(),
      ...program.getSyntacticDiagnostics(),
      ...program.getGlobalDiagnostics(),
      ...own.flatMap((source) => program.getSemanticDiagnostics(source)),
      ...program.emit().diagnostics,
    ];
    return ts.formatDiagnostics(problems, host);
  };

  return Object.fromEntries(Object.entries(programs).map(([name, program]) => [name, problemsOf(program)]));
}

/* The process that `compile` starts. */
const [, self, programs] = process.argv;
if (self === fileURLToPath(import.meta.url) && programs !== undefined) {
  console.log(JSON.stringify(await compileHere(JSON.parse(programs) as Record<string, Program>)));
}
