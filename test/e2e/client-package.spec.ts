import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { borrowStack } from '../support/borrow-stack.js';
import { type Stack, tokenFor } from '../support/stack.js';

const run = promisify(execFile);

describe('the client as an installed package', () => {
  let stack: Stack;
  let project: string;
  beforeAll(async () => {
    stack = await borrowStack();
    project = await mkdtemp(join(tmpdir(), 'rejoinder-client-'));
    await writeFile(join(project, 'package.json'), '{"type":"module","private":true}');
    // npm has cached its dependencies, because this project installs them, too.
    const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', `${stack.api.url}/client.tgz`];
    await run('npm', args, { cwd: project });
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
    const readme = await readFile('libs/client/README.md', 'utf8');
    const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
    expect(
      code
        .trim()
        .split('\n')
        .filter((line) => line !== ''),
    ).toHaveLength(9);
    await writeFile(join(project, 'turn.ts'), code);
    await symlink(resolve('node_modules/@types'), join(project, 'node_modules/@types'));
    await run(process.execPath, [
      resolve('node_modules/typescript/bin/tsc'),
      // Another test checks the declarations.
      ...['--strict', '--skipLibCheck', '--target', 'es2022', '--lib', 'es2022', '--module', 'nodenext'],
      ...['--types', 'node', join(project, 'turn.ts')],
    ]);
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

  it('type-checks strictly with only Node’s types, and works with `require`', async () => {
    const program = `import { type JobEvents, Rejoinder } from '@rejoinder/client';
      export const events: JobEvents = new Rejoinder({ baseUrl: 'http://x', token: 'x' }).followJob('j');`;
    await writeFile(join(project, 'program.ts'), program);
    await run(process.execPath, [
      ...[resolve('node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--exactOptionalPropertyTypes'],
      ...['--skipLibCheck', 'false', '--skipDefaultLibCheck', '--target', 'es2022', '--lib', 'es2022'],
      ...['--types', 'node', '--typeRoots', resolve('node_modules/@types'), '--module', 'node16'],
      join(project, 'program.ts'),
    ]);
    // As a CommonJS project compiles it.
    const old = `import { Rejoinder } from '@rejoinder/client';
      import { RejoinderChatTransport } from '@rejoinder/client/ai-sdk';
      console.log(typeof Rejoinder, typeof RejoinderChatTransport);`;
    await writeFile(join(project, 'old.cts'), old);
    await run(process.execPath, [
      ...[resolve('node_modules/typescript/bin/tsc'), '--strict', '--skipLibCheck', '--target', 'es2022'],
      ...['--types', 'node', '--typeRoots', resolve('node_modules/@types'), '--module', 'node16'],
      join(project, 'old.cts'),
    ]);
    expect(await readFile(join(project, 'old.cjs'), 'utf8')).toContain('require("@rejoinder/client")');
    const { stdout, stderr } = await run(process.execPath, [join(project, 'old.cjs')]);
    expect([stdout, stderr]).toEqual(['function function\n', '']);
  });

  it('type-checks with only a browser’s types', async () => {
    const page =
      "import { Rejoinder } from '@rejoinder/client';\nexport const client = new Rejoinder({ token: 'x' });\n";
    await writeFile(join(project, 'page.ts'), page);
    const compilerOptions = {
      ...{ strict: true, noEmit: true, skipDefaultLibCheck: true },
      ...{ target: 'es2022', module: 'esnext', moduleResolution: 'bundler' },
      ...{ lib: ['es2022', 'dom'], types: [] },
    };
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['page.ts'] }));
    await run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', project]);
  });
});
