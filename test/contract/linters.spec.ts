import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
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

/** The rules that a file breaks, with errors and warnings. */
const LINTERS: Readonly<Record<string, (file: string) => Promise<string[]>>> = {
  Redocly: async (file) => {
    const { report } = await run('@redocly/cli/bin/cli.js', 'lint', '--format=json', '--max-problems=1000', file);
    return (JSON.parse(report) as { problems: { ruleId: string; severity: string }[] }).problems.map(
      ({ ruleId, severity }) => `${severity}: ${ruleId}`,
    );
  },
  Spectral: async (file) => {
    const bin = '@stoplight/spectral-cli/dist/index.js';
    const { report } = await run(bin, 'lint', '--format=json', '--quiet', '--ruleset=.spectral.yaml', file);
    return (JSON.parse(report) as { code: string; severity: number }[]).map(
      ({ code, severity }) => `${['error', 'warn', 'info', 'hint'][severity]}: ${code}`,
    );
  },
};

describe('the contract, under public linters', () => {
  let home: string;
  let contract: string;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'rejoinder-linters-'));
    contract = await readFile(CONTRACT_FILE, 'utf8');
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it.each(Object.entries(LINTERS))('passes all recommended rules of %s', async (_, lint) => {
    expect(await lint(CONTRACT_FILE)).toEqual([]);
  });

  it.each(Object.entries(LINTERS))('fails %s once it is broken', async (_, lint) => {
    const broken = contract
      // Without quotes the comma ends the description, and the rest becomes a key.
      .replace("description: 'Position in the chat, without gaps.'", 'description: Position in the chat, without gaps.')
      .replace("'#/components/schemas/ChatPage'", "'#/components/schemas/Nowhere'");
    const file = join(home, 'openapi.yaml');
    await writeFile(file, broken);
    expect((await lint(file)).join('\n')).toMatch(/^error: /m);
  });
});
