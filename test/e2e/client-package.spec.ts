import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type Stack, startStack, tokenFor } from '../support/stack.js';

const run = promisify(execFile);

describe('the client, as the package that others install', () => {
  let stack: Stack;
  let project: string;
  beforeAll(async () => {
    stack = await startStack();
    project = await mkdtemp(join(tmpdir(), 'rejoinder-client-'));
    const installed = join(project, 'node_modules/@rejoinder/client');
    await mkdir(installed, { recursive: true });
    const { stdout } = await run('npm', [
      'pack',
      '--json',
      '--workspace=@rejoinder/client',
      `--pack-destination=${project}`,
    ]);
    const packed = Object.values(JSON.parse(stdout) as Record<string, { filename: string }>);
    await run('tar', ['-xzf', join(project, packed[0]?.filename ?? ''), '--strip-components=1', '-C', installed]);
    // Nothing else of ours can be reached from there but what it says it needs.
    const { dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    expect(Object.keys(dependencies)).toEqual(['eventsource-parser']);
    await symlink(resolve('node_modules/eventsource-parser'), join(project, 'node_modules/eventsource-parser'));
    await writeFile(join(project, 'package.json'), '{"type":"module"}');
  });
  afterAll(async () => {
    await stack.stop();
    await rm(project, { recursive: true, force: true });
  });

  it('streams a turn in the ten lines of its README, pasted as they stand', async () => {
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
      // Declarations are checked below.
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

  it('has its license and the sources its maps speak of, and nothing of how it was made', async () => {
    const installed = join(project, 'node_modules/@rejoinder/client');
    const files = await readdir(installed, { recursive: true });
    expect(files).toContain('LICENSE');
    expect(files.filter((file) => /tsbuildinfo|tsconfig|\.spec\./.test(file))).toEqual([]);
    const map = await readFile(join(installed, 'dist/client/src/http.js.map'), 'utf8');
    expect((JSON.parse(map) as { sourcesContent?: string[] }).sourcesContent?.[0]).toContain('export class Http');
  });

  it('type-checks for Node alone, and strictly, and can be required', async () => {
    const program = `import { type JobEvents, Rejoinder } from '@rejoinder/client';
      export const events: JobEvents = new Rejoinder({ baseUrl: 'http://x', token: 'x' }).followJob('j');`;
    await writeFile(join(project, 'program.ts'), program);
    await run(process.execPath, [
      ...[resolve('node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--exactOptionalPropertyTypes'],
      ...['--skipLibCheck', 'false', '--skipDefaultLibCheck', '--target', 'es2022', '--lib', 'es2022'],
      ...['--types', 'node', '--typeRoots', resolve('node_modules/@types'), '--module', 'node16'],
      join(project, 'program.ts'),
    ]);
    await writeFile(join(project, 'old.cjs'), "console.log(typeof require('@rejoinder/client').Rejoinder);");
    const { stdout } = await run(process.execPath, ['--no-warnings', join(project, 'old.cjs')]);
    expect(stdout).toBe('function\n');
  });

  it('type-checks where there is nothing but a browser', async () => {
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
