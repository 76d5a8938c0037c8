import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BESIDE } from '../../tools/build/programs.js';
import { shippedFiles } from '../support/dockerfile.js';
import { type Stack, startStack } from '../support/stack.js';

/** All that they need, as the Dockerfile lists it; of `node_modules`, the files that Swagger UI and Bull Board are made of. */
const NEEDED = shippedFiles();

describe('the built programs', () => {
  let home: string;
  let stack: Stack;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'rejoinder-programs-'));
    for (const part of NEEDED) await cp(part, join(home, part), { recursive: true });
    stack = await startStack({ home });
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(home, { recursive: true, force: true });
  });

  it('find in the image whatever they read from node_modules', () => {
    const shipped = NEEDED.map((path) => path.replace(/\/$/, ''));
    expect(shipped).toEqual(expect.arrayContaining(BESIDE.map((name) => `node_modules/${name}`)));
  });

  it('bring their libraries with them: none is looked for in node_modules', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    expect((await ana.turn(chat.id, 'hello')).status).toBe(200);
    expect((await ana.post(`/api/v1/chats/${chat.id}/turns`, { user_message: 7 })).status).toBe(422);
    for (const path of ['/docs', '/docs/swagger-ui-bundle.js', '/openapi.yaml', '/health/ready']) {
      expect([path, (await fetch(new URL(path, stack.api.url))).status]).toEqual([path, 200]);
    }
    expect(stack.api.output() + (stack.workers[0]?.output() ?? '')).not.toMatch(/cannot find|error/i);
  });

  it('each have a code cache for this Node, and add nothing to it when they run', async () => {
    const before = await readdir('dist/bin');
    expect(await readdir(join(home, 'dist/bin'))).toEqual(before);
    const code = `import { load } from './dist/bin/launch.js';
      for (const name of ['api', 'worker', 'migrate', 'traces', 'proxy']) console.log(load('dist/bin/' + name + '.cjs').script.cachedDataRejected)`;
    const args = ['--input-type=module', '--eval', code];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: home });
    expect(stdout.trim().split('\n')).toEqual(Array(5).fill('false'));
  });
});
