import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { borrowStack } from '../support/borrow-stack.js';
import { compile, type Program } from '../support/compile.js';
import { type Stack, tokenFor } from '../support/stack.js';

const run = promisify(execFile);

/** Node's types are those of this project; the installed package has none. */
const node = { types: ['node'], typeRoots: [resolve('node_modules/@types')] };
const strict = { strict: true, target: 'es2022' };

/** The programs that use the package, with the text of each, and as its project compiles it. */
const PROGRAMS = {
  /** The example of the README. */
  turn: { file: 'turn.ts', options: { ...strict, ...node, skipLibCheck: true, lib: ['es2022'], module: 'nodenext' } },
  nodeOnly: {
    file: 'program.ts',
    text: `import { type JobEvents, Rejoinder } from '@rejoinder/client';
      export const events: JobEvents = new Rejoinder({ baseUrl: 'http://x', token: 'x' }).followJob('j');`,
    options: {
      ...{ ...strict, ...node, noEmit: true, exactOptionalPropertyTypes: true, skipDefaultLibCheck: true },
      ...{ lib: ['es2022'], module: 'node16' },
    },
  },
  /** As a CommonJS project compiles it. */
  old: {
    file: 'old.cts',
    text: `import { Rejoinder } from '@rejoinder/client';
      import { RejoinderChatTransport } from '@rejoinder/client/ai-sdk';
      console.log(typeof Rejoinder, typeof RejoinderChatTransport);`,
    options: { ...strict, ...node, skipLibCheck: true, module: 'node16' },
  },
  browser: {
    file: 'page.ts',
    text: "import { Rejoinder } from '@rejoinder/client';\nexport const client = new Rejoinder({ token: 'x' });\n",
    options: {
      ...{ ...strict, noEmit: true, skipDefaultLibCheck: true, module: 'esnext', moduleResolution: 'bundler' },
      ...{ lib: ['es2022', 'dom'], types: [] },
    },
  },
} satisfies Record<string, Program & { text?: string }>;

describe('the client as an installed package', () => {
  let stack: Stack;
  let project: string;
  let example: string;
  /** The compiler's messages for each program; '': none. */
  let problems: Record<keyof typeof PROGRAMS, string>;
  beforeAll(async () => {
    stack = await borrowStack();
    project = await mkdtemp(join(tmpdir(), 'rejoinder-client-'));
    await writeFile(join(project, 'package.json'), '{"type":"module","private":true}');
    // npm has cached its dependencies, because this project installs them, too.
    const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', `${stack.api.url}/client.tgz`];
    await run('npm', args, { cwd: project });
    [, example = ''] = /```ts\n([\s\S]*?)```/.exec(await readFile('libs/client/README.md', 'utf8')) ?? [];
    for (const program of Object.values(PROGRAMS)) {
      await writeFile(join(project, program.file), 'text' in program ? program.text : example);
    }
    problems = await compile(project, PROGRAMS);
  });
  afterAll(async () => {
    await stack.stop();
    await rm(project, { recursive: true, force: true });
  });

  it('is served by the service that it fits, installs from its address, and is cached while unchanged', async () => {
    const installed = JSON.parse(
      await readFile(join(project, 'node_modules/@rejoinder/client/package.json'), 'utf8'),
    ) as { version: string; keywords: string[] };
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(installed).toMatchObject({ version, keywords: expect.arrayContaining(['chat']) });
    // The package can reach only its declared dependencies.
    const packages = (await readdir(join(project, 'node_modules'))).filter((name) => !name.startsWith('.'));
    expect(packages.sort()).toEqual(['@rejoinder', 'eventsource-parser']);
    const served = await fetch(`${stack.api.url}/client.tgz`);
    expect([served.status, served.headers.get('content-type')]).toEqual([200, 'application/gzip']);
    const again = { headers: { 'if-none-match': served.headers.get('etag') ?? '' } };
    expect((await fetch(`${stack.api.url}/client.tgz`, again)).status).toBe(304);
  });

  it('has types for `import` and for `require`', async () => {
    // The package does not support Node 10, nor TypeScript that resolves for it.
    const attw = resolve('node_modules/@arethetypeswrong/cli/dist/index.js');
    const args = [
      'dist/client/client.tgz',
      '--no-definitely-typed',
      '--profile=node16',
      '--format=ascii',
      '--no-color',
    ];
    const { stdout } = await run(process.execPath, [attw, ...args]);
    expect(stdout).toContain('node16 (from CJS): ');
  });

  it('streams a turn with the example of its README, pasted unchanged', async () => {
    const lines = example
      .trim()
      .split('\n')
      .filter((line) => line !== '');
    expect(lines).toHaveLength(9);
    expect(problems.turn).toBe('');
    const { stdout } = await run(process.execPath, [join(project, 'turn.js')], {
      env: { PATH: process.env['PATH'], SERVICE: stack.api.url, TOKEN: tokenFor('ana') },
    });
    expect(stdout).toMatch(
      /^\[Modelo de prueba\] Has preguntado: «¿Cómo reinstalo el software\?»[^]*\nsucceeded, \d+ tokens\n$/,
    );
  });

  it('has its license and the sources of its maps, and no build files', async () => {
    const installed = join(project, 'node_modules/@rejoinder/client');
    const files = await readdir(installed, { recursive: true });
    expect(files).toContain('LICENSE');
    expect(files.filter((file) => /tsbuildinfo|tsconfig|\.spec\./.test(file))).toEqual([]);
    const map = await readFile(join(installed, 'dist/client/src/http.js.map'), 'utf8');
    expect((JSON.parse(map) as { sourcesContent?: string[] }).sourcesContent?.[0]).toContain('export class Http');
  });

  it('type-checks strictly with only Node’s types', async () => {
    expect(problems.nodeOnly).toBe('');
    // The compiler does not check Node's types again, because no declaration of a package changes them.
    const packages = join(project, 'node_modules');
    const declarations = (await readdir(packages, { recursive: true })).filter((file) => /\.d\.[cm]?ts$/.test(file));
    expect(declarations.length).toBeGreaterThan(10);
    for (const file of declarations) {
      const text = await readFile(join(packages, file), 'utf8');
      expect([file, text.match(/^\s*declare (global|module|namespace)\b.*|^\/\/\/\s*<reference.*/m)?.[0]]).toEqual([
        file,
        undefined,
      ]);
      expect([file, /^(import|export)\b/m.test(text)]).toEqual([file, true]);
    }
  });

  it('works with `require`', async () => {
    expect(problems.old).toBe('');
    expect(await readFile(join(project, 'old.cjs'), 'utf8')).toContain('require("@rejoinder/client")');
    const { stdout, stderr } = await run(process.execPath, [join(project, 'old.cjs')]);
    expect([stdout, stderr]).toEqual(['function function\n', '']);
  });

  it('type-checks with only a browser’s types', () => {
    expect(problems.browser).toBe('');
  });
});
