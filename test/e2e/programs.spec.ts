import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BESIDE } from '../../tools/build/programs.js';
import { Client } from '../support/client.js';
import { shippedFiles } from '../support/dockerfile.js';
import { SECRET, type Stack, startStack } from '../support/stack.js';

/** The files that the programs need, as the Dockerfile lists them; of `node_modules`, those of Swagger UI. */
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

  it('find in the image all that they read from node_modules', () => {
    const shipped = NEEDED.map((path) => path.replace(/\/$/, ''));
    expect(shipped).toEqual(expect.arrayContaining(BESIDE.map((name) => `node_modules/${name}`)));
  });

  it('contain their libraries, and look for none in node_modules', async () => {
    const ana = stack.as('ana');
    const chat = await ana.chat();
    expect((await ana.turn(chat.id, 'hello')).status).toBe(200);
    expect((await ana.post(`/api/v1/chats/${chat.id}/turns`, { user_message: 7 })).status).toBe(422);
    for (const path of ['/docs', '/docs/swagger-ui-bundle.js', '/openapi.yaml', '/client.tgz', '/health/ready']) {
      expect([path, (await fetch(new URL(path, stack.api.url))).status]).toEqual([path, 200]);
    }
    expect(stack.api.output() + (stack.workers[0]?.output() ?? '')).not.toMatch(/cannot find|error/i);
  });

  it('make an operator’s token in the image, and none where an identity provider signs', async () => {
    const make = (env: Record<string, string>) =>
      promisify(execFile)(process.execPath, ['dist/bin/token.js', 'ops', '--scope', 'admin', '--expires', '15m'], {
        cwd: home,
        env: { NODE_ENV: 'production', ...env },
      });
    const { stdout } = await make({ JWT_SECRET: SECRET });
    const ops = new Client(stack.api.url, stdout.trim());
    expect((await ops.get('/api/v1/admin/dispatch')).status).toBe(200);
    await expect(make({})).rejects.toThrow('JWT_SECRET (or JWT_JWKS_URI) is not set');
    await expect(make({ JWT_JWKS_URI: 'https://id.example/keys' })).rejects.toThrow('none can be signed here');
  });

  it('each have a code cache for this Node, and add nothing to it when they run', async () => {
    const before = await readdir('dist/bin');
    expect(await readdir(join(home, 'dist/bin'))).toEqual(before);
    const code = `import { load } from './dist/bin/launch.js';
      for (const name of ['api', 'worker', 'migrate', 'token', 'traces', 'proxy', 'mcp', 'bedrock', 'vertex']) console.log(load('dist/bin/' + name + '.cjs').script.cachedDataRejected)`;
    const args = ['--input-type=module', '--eval', code];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: home });
    expect(stdout.trim().split('\n')).toEqual(Array(9).fill('false'));
  });
});
