import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CONTRACT_FILE } from '#process/root.js';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';

const run = promisify(execFile);

/** Sections of docs/generated-clients.md, each with a command and a program. */
const PAGE = 'docs/generated-clients.md';

/** Declarations that the page says its programs have. */
const GIVEN = `declare const service: string;
declare const token: string;
declare function show(text: string): void;
`;

interface Section {
  readonly name: string;
  readonly command: string;
  readonly program: string;
}

async function sections(): Promise<Section[]> {
  const [, ...parts] = (await readFile(PAGE, 'utf8')).split(/^## /m);
  return parts.map((part) => {
    const [, name = '', command = '', program = ''] =
      /^(.*)\n[\s\S]*?```sh\n(.*)\n```\n```ts\n([\s\S]*?)```/.exec(part) ?? [];
    return { name, command, program };
  });
}

/** Runs `npx …` of the page with the installed program. */
async function generate(home: string, command: string): Promise<void> {
  const [npx, name = '', ...args] = command.split(' ');
  expect(npx).toBe('npx');
  await run(resolve('node_modules/.bin', name), args, { cwd: home });
}

describe('a client made by a public generator', () => {
  let stack: Stack;
  let home: string;
  let clients: Section[];
  const homeOf = (index: number): string => join(home, String(index));
  beforeAll(async () => {
    clients = await sections();
    home = await mkdtemp(join(tmpdir(), 'rejoinder-generated-'));
    await symlink(resolve('node_modules'), join(home, 'node_modules'));
    const made = clients.map(async ({ command, program }, index) => {
      await mkdir(homeOf(index));
      await copyFile(CONTRACT_FILE, join(homeOf(index), 'openapi.yaml'));
      await generate(homeOf(index), command);
      await writeFile(join(homeOf(index), 'given.d.ts'), GIVEN);
      await writeFile(join(homeOf(index), 'program.ts'), program);
    });
    [stack] = await Promise.all([borrowStack(), ...made]);
    const compilerOptions = {
      ...{ strict: true, noEmit: true, skipLibCheck: true, target: 'es2022', types: [] },
      ...{ module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom', 'dom.asynciterable', 'dom.iterable'] },
    };
    await writeFile(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*/**/*.ts'] }));
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(home, { recursive: true, force: true });
  });

  it('is described for three generators', () => {
    const names = clients.map(({ name }) => name);
    expect(names).toEqual(['openapi-typescript and openapi-fetch', '@hey-api/openapi-ts', 'swagger-typescript-api']);
  });

  it('compiles in strict mode, with the program that uses it', async () => {
    const { stdout } = await run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', home]).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  });

  it('waits for a turn and streams another, with each generator', async () => {
    const shown = await Promise.all(
      clients.map(async (_, index) => {
        const bundler = resolve('node_modules/.bin/rolldown');
        await run(bundler, ['program.ts', '--platform=node', '--format=esm', '--file=program.mjs'], {
          cwd: homeOf(index),
        });
        const starter = `globalThis.service = ${JSON.stringify(stack.api.url)};
          globalThis.token = ${JSON.stringify(tokenFor(`user-${index}`))};
          globalThis.show = (text) => console.log(JSON.stringify(text));
          await import('./program.mjs');`;
        await writeFile(join(homeOf(index), 'start.mjs'), starter);
        const { stdout } = await run(process.execPath, [join(homeOf(index), 'start.mjs')], { timeout: 60_000 });
        return stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as string);
      }),
    );
    for (const texts of shown) {
      expect(texts).toEqual([
        expect.stringContaining('¿Cómo reinstalo el software?'),
        expect.stringContaining('¿Y después?'),
      ]);
    }
  });
});
