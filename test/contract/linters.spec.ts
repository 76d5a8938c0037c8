import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { CONTRACT_FILE } from '#process/root.js';

/** A linter's report and exit code. Both linters write colours and other lines elsewhere, so only the report counts. */
async function run(bin: string, ...args: string[]): Promise<{ code: number | null; report: string }> {
  const child = spawn(process.execPath, [resolve('node_modules', bin), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
  });
  const printed = text(child.stderr);
  const ended = new Promise<number | null>((done) => child.once('close', done));
  const report = await text(child.stdout);
  const code = await ended;
  if (report === '') throw new Error(`${bin} reported nothing: ${await printed}`);
  return { code, report };
}

/** A rule that a file breaks. */
interface Problem {
  readonly file: string;
  readonly rule: string;
}

/** The faults that each linter finds, by file. Each linter starts once for all files, because its start costs as much as one file. */
const LINTERS: Readonly<Record<string, (files: readonly string[]) => Promise<Problem[]>>> = {
  Redocly: async (files) => {
    const { report } = await run('@redocly/cli/bin/cli.js', 'lint', '--format=json', '--max-problems=1000', ...files);
    // It prints an object for each file, with nothing between them.
    return report.split(/(?<=^\})(?=\{)/m).flatMap((part) => {
      const { problems } = JSON.parse(part) as {
        problems: { ruleId: string; severity: string; location: { source: { ref: string } }[] }[];
      };
      return problems.map(({ ruleId, severity, location }) => ({
        file: resolve(location[0]?.source.ref ?? ''),
        rule: `${severity}: ${ruleId}`,
      }));
    });
  },
  Spectral: async (files) => {
    const bin = '@stoplight/spectral-cli/dist/index.js';
    const { report } = await run(bin, 'lint', '--format=json', '--quiet', '--ruleset=.spectral.yaml', ...files);
    return (JSON.parse(report) as { code: string; severity: number; source?: string }[]).map(
      ({ code, severity, source }) => ({
        file: resolve(source ?? ''),
        rule: `${['error', 'warn', 'info', 'hint'][severity]}: ${code}`,
      }),
    );
  },
};

/** The two faults, as each linter names them. Spectral reads no further than a reference that leads nowhere. */
const FAULTS: Readonly<Record<string, string[]>> = {
  Redocly: ['error: no-unresolved-refs', 'error: struct'],
  Spectral: ['error: invalid-ref'],
};

/**
 * The contract with two faults. It has the one path with a fault: the other paths take most of a linter's work, and say nothing more about
 * the faults.
 */
function withFaults(contract: string): string {
  const faulty = contract
    // Without quotes the comma ends the description, and the rest becomes a key.
    .replace("description: 'Position in the chat, without gaps.'", 'description: Position in the chat, without gaps.')
    .replace("'#/components/schemas/ChatPage'", "'#/components/schemas/Nowhere'");
  const { paths, ...rest } = parse(faulty) as { paths: Record<string, unknown> };
  return JSON.stringify({ ...rest, paths: { '/api/v1/chats': paths['/api/v1/chats'] } });
}

describe.each(Object.entries(LINTERS))('the contract, under %s', (name, lint) => {
  let home: string;
  let broken: string;
  let problems: Problem[];
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'rejoinder-linters-'));
    broken = join(home, 'openapi.json');
    await writeFile(broken, withFaults(await readFile(CONTRACT_FILE, 'utf8')));
    problems = await lint([CONTRACT_FILE, broken]);
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it('passes all recommended rules', () => {
    expect(problems.filter(({ file }) => file !== broken)).toEqual([]);
  });

  it('fails once it is broken', () => {
    const errors = problems.filter(({ file, rule }) => file === broken && rule.startsWith('error: '));
    expect(errors.map(({ rule }) => rule).sort()).toEqual(FAULTS[name]);
  });
});
