import { readFileSync } from 'node:fs';
import { type Copy, DockerfileParser, type Instruction, type JSONInstruction } from 'dockerfile-ast';

/** One `COPY`: its source (`from`: a stage, or the context), its paths, its target. */
export interface CopyLine {
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly target: string;
}

/** One stage of a Dockerfile. */
export interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly workdir: string;
  /** `COPY` and `RUN`, in their order. */
  readonly steps: readonly ({ readonly copy: CopyLine } | { readonly run: string })[];
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
}

/** The stages of the Dockerfile at `path`. An instruction of any other kind is a fault. */
export function readDockerfile(path = 'Dockerfile'): Stage[] {
  const stages: (Stage & { steps: Stage['steps'][number][]; env: Record<string, string> })[] = [];
  for (const instruction of DockerfileParser.parse(readFileSync(path, 'utf8')).getInstructions()) {
    const words = wordsOf(instruction);
    if (instruction.getKeyword() === 'FROM') {
      const [image = '', , name] = words;
      stages.push({ image, name, workdir: '/', steps: [], env: {}, user: undefined, entrypoint: [], command: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error('The Dockerfile does not begin with FROM.');
    Object.assign(stage, changes(stage, instruction, words));
  }
  return stages;
}

function changes(stage: Stage, instruction: Instruction, words: string[]): Partial<Stage> {
  switch (instruction.getKeyword()) {
    case 'WORKDIR':
      return { workdir: words[0] };
    case 'USER':
      return { user: words[0] };
    case 'ENV':
      return { env: { ...stage.env, ...Object.fromEntries(words.map((word) => word.split('=', 2))) } };
    case 'RUN':
      return { steps: [...stage.steps, { run: instruction.getArgumentsContent() ?? '' }] };
    case 'COPY':
      return { steps: [...stage.steps, { copy: copyLine(instruction as Copy) }] };
    case 'ENTRYPOINT':
      return { entrypoint: jsonWords(instruction) };
    case 'CMD':
      return { command: jsonWords(instruction) };
    case 'EXPOSE':
    case 'STOPSIGNAL':
      return {};
    default:
      throw new Error(`${instruction.getKeyword()} in the Dockerfile: nobody here knows how to do that.`);
  }
}

function wordsOf(instruction: Instruction): string[] {
  return instruction.getArguments().map((argument) => argument.getValue());
}

function copyLine(copy: Copy): CopyLine {
  const words = copy.getArguments().map((argument) => argument.getValue());
  const flags = copy.getFlags().map((flag) => flag.getName());
  if (flags.some((flag) => flag !== 'from')) throw new Error(`COPY with --${flags.join(', --')}`);
  return { from: copy.getFlags()[0]?.getValue() ?? undefined, sources: words.slice(0, -1), target: words.at(-1) ?? '' };
}

/** The words of the `exec` form. In the other form a shell would be process 1 and get the signals. */
function jsonWords(instruction: Instruction): string[] {
  const strings = (instruction as JSONInstruction).getJSONStrings().map((one) => one.getJSONValue());
  if (strings.length === 0) throw new Error(`${instruction.getKeyword()} must have the form of a JSON array.`);
  return strings;
}

/** Files that the image takes from the build, relative to the project's top: all that the programs may need. */
export function shippedFiles(): string[] {
  const [build, image] = readDockerfile();
  return (image?.steps ?? []).flatMap((step) =>
    'copy' in step
      ? step.copy.sources.map((source) => source.slice((build?.workdir ?? '').length + 1).replace(/\/$/, ''))
      : [],
  );
}
