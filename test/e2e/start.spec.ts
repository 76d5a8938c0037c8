import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { Client } from '../support/client.js';
import { has, type RunningProcess, runningProcesses } from '../support/machine.js';
import { until } from '../support/until.js';

const withCurl = has('curl') && has('bash') ? it : it.skip;

interface Started {
  readonly process: ChildProcess;
  output(): string;
  /** The API's address, once the banner is printed. */
  ready(): Promise<string>;
  ended(): Promise<number | NodeJS.Signals | null>;
}

describe('npm start', () => {
  let dataDir: string;
  const started: ChildProcess[] = [];
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rejoinder-start-'));
  });
  afterEach(async () => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
    // A failed test must not leave its processes to the next one.
    await until(
      async () => !(await runningProcesses()).some(({ line }) => line.includes(dataDir)),
      'the end of every process',
    );
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = (env: Record<string, string> = {}): Started => {
    const child = spawn(process.execPath, ['dist/tools/start.js'], {
      env: { PATH: process.env['PATH'], DATA_DIR: dataDir, PORT: '0', WORKER_PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    started.push(child);
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += String(chunk)));
    const exit = once(child, 'exit');
    return {
      process: child,
      output: () => printed,
      ready: () =>
        until(async () => {
          if (child.exitCode !== null) throw new Error(printed);
          return /Swagger UI +(\S+)\/docs/.exec(printed)?.[1];
        }, 'the banner'),
      ended: async () => {
        const [code, signal] = (await exit) as [number | null, NodeJS.Signals | null];
        return code ?? signal;
      },
    };
  };

  const childrenOf = async (run: Started): Promise<RunningProcess[]> =>
    (await runningProcesses()).filter(({ parent }) => parent === run.process.pid);
  /** The process number 0 would mean this process and its whole group. */
  const kill = (found: RunningProcess | undefined, signal: NodeJS.Signals): void => {
    if (found === undefined || found.pid <= 0) throw new Error('What was to be killed does not run.');
    process.kill(found.pid, signal);
  };
  const gone = async (children: { pid: number }[]): Promise<void> => {
    const pids = children.map(({ pid }) => pid);
    expect(pids).toHaveLength(5); // PostgreSQL's guard, the stand-in model, the example tools, the API, the worker
    await until(
      async () => !(await runningProcesses()).some(({ pid, line }) => pids.includes(pid) || line.includes(dataDir)),
      'the end of every process',
    );
  };

  it('starts everything, prints a command that works, stops cleanly, and finds its data again', async () => {
    const first = start();
    await first.ready();
    expect(first.output()).toContain('STAND-IN');
    const playground = /Playground +(\S+)/.exec(first.output())?.[1] ?? '';
    expect(await (await fetch(playground)).text()).toContain('<meta name="sign-in" content="development" />');
    const token = /Bearer ([^']+)/.exec(first.output())?.[1];
    const url = await first.ready();
    const demo = new Client(url, token);
    const chat = await demo.chat();
    const turn = await demo.turn(chat.id, '¿Cómo reinstalo el software?');
    expect([turn.status, turn.body.assistant_message.role]).toEqual([200, 'assistant']);

    // The example tools run, for whoever signs.
    const tools = /Tools +EXAMPLE: .* at (\S+)/.exec(first.output())?.[1] ?? '';
    expect((await fetch(`${tools}/opening_hours`, { method: 'POST', body: '{}' })).status).toBe(401);
    const secret = await readFile(join(dataDir, 'tools-secret'), 'utf8');
    const body = '{"call_id":"call-1","name":"opening_hours","input":{}}';
    const now = new Date();
    const headers = {
      'webhook-id': 'call-1',
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': new Webhook(secret).sign('call-1', now, body),
    };
    expect((await fetch(`${tools}/opening_hours`, { method: 'POST', headers, body })).status).toBe(200);

    const second = start();
    expect(await second.ended()).toBe(1);
    expect(second.output()).toMatch(/in use\. Is `npm start` running already\?/);

    const parts = await childrenOf(first);
    first.process.kill('SIGINT');
    expect(await first.ended()).toBe(0);
    await gone(parts);

    const third = start();
    const again = new Client(await third.ready(), token);
    expect((await again.get(`/api/v1/chats/${chat.id}/messages`)).body.data).toHaveLength(3);

    // Even SIGKILL leaves no process behind.
    const others = await childrenOf(third);
    third.process.kill('SIGKILL');
    await gone(others);
    expect(third.output()).not.toMatch(/warn|error/i);
  });

  withCurl('answers the command of its banner and the tour’s conversation, pasted unchanged', async () => {
    const run = start();
    await run.ready();
    const [, line] = /^ +(curl .*)$/m.exec(run.output()) ?? [];
    const { stdout } = await promisify(execFile)('sh', ['-c', `${line} -s`]);
    expect(JSON.parse(stdout)).toMatchObject({ assistant: 'support', messages: [{ role: 'system' }] });

    const answers = await pasted('docs/tour.md', dataDir);
    expect(answers).toMatch(/"role":"system"[\s\S]*"stop_reason":"end_turn"[\s\S]*"status":"queued"/);
    expect(answers).toMatch(/\nsucceeded\n\[Modelo de prueba\] Has preguntado: «¿Cómo reinstalo el software\?»/);
    expect(answers).toMatch(/\n200 \n200 true\n/);

    // The five minutes with tools: a call, then one that a person approves.
    const calls = await pasted('docs/tools.md', dataDir);
    expect(calls).toMatch(
      /name: 'find_order'[\s\S]*status: 'succeeded'[\s\S]*status: 'awaiting_approval'[\s\S]*queued[\s\S]*refund_order/,
    );

    // The command line also finds it, on any port.
    const command = [process.execPath, 'dist/tools/chat.js', 'support', 'from the command line'] as const;
    const env = { PATH: process.env['PATH'], DATA_DIR: dataDir };
    const printed = await promisify(execFile)(command[0], command.slice(1), { env });
    expect(printed.stdout).toContain('from the command line');
    run.process.kill('SIGTERM');
    expect(await run.ended()).toBe(0);
    await expect(readFile(join(dataDir, 'address'))).rejects.toThrow('ENOENT');
  });

  // Each of these two starts also shows what happens when a part dies, because a start takes long.
  it('two at once, on new data: one runs, the other says so; it fails when PostgreSQL dies, and stops the rest', async () => {
    const runs = [start(), start()];
    const ended = runs.map(async (run) => ({ run, code: await run.ended() }));
    const loser = await Promise.race(ended);
    expect([loser.code, loser.run.output()]).toEqual([1, expect.stringMatching(/in use\. Is `npm start` running/)]);
    const [winner] = runs.filter((run) => run !== loser.run);
    if (winner === undefined) throw new Error('None of the two is left.');
    await winner.ready();

    const parts = await childrenOf(winner);
    const [guard] = parts.filter(({ line }) => line.includes('postgres-guard'));
    const [server] = (await runningProcesses()).filter(({ parent }) => parent === guard?.pid);
    kill(server, 'SIGQUIT');
    expect(await winner.ended()).toBe(1);
    expect(winner.output()).toContain('PostgreSQL ended by itself');
    await gone(parts);
  });

  it('killed before its data was complete, it begins anew; it fails when a part dies, and stops the rest', async () => {
    const run = start();
    const half = async (): Promise<boolean> =>
      (await runningProcesses()).some(({ line }) => line.includes('initdb') && line.includes('-D'));
    await until(half, 'initdb');
    const begun = await childrenOf(run);
    run.process.kill('SIGKILL');
    for (const { pid } of begun) if (pid > 0) process.kill(pid, 'SIGKILL');
    await run.ended();
    const again = start();
    await again.ready();

    const parts = await childrenOf(again);
    kill(
      parts.find(({ line }) => line.includes('bin/worker')),
      'SIGKILL',
    );
    expect(await again.ended()).toBe(1);
    expect(again.output()).toContain('worker ended by itself (SIGKILL)');
    await gone(parts);
  });

  it('brings no stand-in where another provider of the model is named', async () => {
    const run = start({ MODEL_PROVIDER: 'bedrock', AWS_REGION: 'eu-west-1', TOOLS_EXAMPLE: 'off' });
    await run.ready();
    expect(run.output()).toMatch(/Model +real, at https:\/\/bedrock-runtime\.eu-west-1\.amazonaws\.com/);
    expect((await childrenOf(run)).map(({ line }) => line).join('\n')).not.toContain('model-stub');
    run.process.kill('SIGINT');
    expect(await run.ended()).toBe(0);
  });

  it('names the setting when a port is in use, and every wrong setting', async () => {
    const [first, second] = [createServer().listen(0, '127.0.0.1'), createServer().listen(0, '127.0.0.1')];
    await Promise.all([once(first, 'listening'), once(second, 'listening')]);
    const [port, other] = [first, second].map((server) => (server.address() as { port: number }).port);
    const run = start({ PORT: String(port), WORKER_PORT: String(other) });
    expect(await run.ended()).toBe(1);
    const proposal =
      /^Ports (\d+) and (\d+) are in use\. Set PORT and WORKER_PORT to others: {2}PORT=\d+ WORKER_PORT=\d+ npm start\n$/;
    expect(proposal.exec(run.output())?.slice(1)).toEqual([String(port), String(other)]);
    first.close();
    second.close();

    const wrong = start({ PORT: 'x', LOG_LEVEL: 'y' });
    expect(await wrong.ended()).toBe(1);
    expect(wrong.output()).toMatch(/LOG_LEVEL must[\s\S]*PORT must/);
    for (const [env, words] of [
      [{ PORT: '3987', WORKER_PORT: '3987' }, 'PORT and WORKER_PORT are both 3987'],
      [{ NODE_ENV: 'production', JWT_SECRET: 'x'.repeat(32) }, '`npm start` is for development'],
      [{ HOST: 'nowhere.invalid' }, 'HOST'],
      [{ MODEL_PROVIDER: 'bedrock' }, 'AWS_REGION (or AWS_DEFAULT_REGION) is not set'],
    ] as const) {
      const refused = start(env);
      expect([await refused.ended(), refused.output()]).toEqual([1, expect.stringContaining(words)]);
    }
    expect((await runningProcesses()).filter(({ line }) => line.includes(dataDir))).toEqual([]);
  });
});

describe('npm start, failing with one line', () => {
  const failed = async (dataDir: string, before: readonly string[] = []): Promise<string> => {
    const [command = '', ...args] = [...before, process.execPath, 'dist/tools/start.js'];
    const env = { PATH: process.env['PATH'], DATA_DIR: dataDir, PORT: '0', WORKER_PORT: '0' };
    const printed = promisify(execFile)(command, args, { env }).then(
      () => 'it started',
      ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
    );
    return printed;
  };
  const ADVICE = 'Set DATA_DIR to a directory where data can be kept.\n';

  it('says that it may not write to the data’s place', async () => {
    expect(await failed('/sys/rejoinder')).toBe(`/sys/rejoinder may not be written to. ${ADVICE}`);
    expect(await failed('package.json')).toBe(`package.json is no directory. ${ADVICE}`);
  });

  const canMount = process.getuid?.() === 0 && has('unshare') && has('mount');
  (canMount ? it : it.skip)('says that the disk is full', async () => {
    const place = await mkdtemp(join(tmpdir(), 'rejoinder-full-'));
    const mounted = 'mount -t tmpfs -o size=12m,mode=755 none "$0" && exec "$@"';
    expect(await failed(place, ['unshare', '--mount', 'sh', '-c', mounted, place])).toBe(
      `The disk of ${place} is full. ${ADVICE}`,
    );
    await rm(place, { recursive: true });
  });
});

/** Pastes a page's commands into a shell. The service has its data in `dataDir`. */
async function pasted(page: string, dataDir: string): Promise<string> {
  const [, flow = ''] = /<!-- flow: begin -->([\s\S]*)<!-- flow: end -->/.exec(await readFile(page, 'utf8')) ?? [];
  const lines = [...flow.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block).join('\n');
  // The commands find the service on any port. This one's data is not in the clone.
  expect(lines).not.toMatch(/:\d{4}/);
  const script = lines.replace('.data/', `${dataDir}/`).replaceAll(/(chat|job|waiting)\.json/g, `${dataDir}/$1.json`);
  const { stdout } = await promisify(execFile)('bash', ['-euc', script], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], DATA_DIR: dataDir },
  });
  return stdout;
}

describe('npm run token', () => {
  const token = async (args: string[], env: Record<string, string> = {}): Promise<string> => {
    const { stdout } = await promisify(execFile)(process.execPath, ['dist/tools/token.js', ...args], {
      env: { PATH: process.env['PATH'], JWT_SECRET: 'x'.repeat(32), ...env },
    });
    return stdout;
  };
  const claims = (jwt: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());

  it('prints a token and nothing else', async () => {
    const printed = await token(['alice'], { JWT_ISSUER: 'me', JWT_AUDIENCE: 'you' });
    expect(printed).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(claims(printed)).toMatchObject({ sub: 'alice', iss: 'me', aud: 'you' });
    const short = claims(await token(['alice', '--expires', '15m']));
    expect(Number(short['exp']) - Number(short['iat'])).toBe(900);
  });

  it.each([
    ['no user', [], {}],
    ['two users', ['a', 'b'], {}],
    ['a span without a unit', ['a', '--expires', '15'], {}],
    ['a secret that is too short', ['a'], { JWT_SECRET: 'short' }],
    ['production without a secret', ['a'], { NODE_ENV: 'production', JWT_SECRET: '' }],
    ['production with a secret that can be guessed', ['a'], { NODE_ENV: 'production' }],
  ])('refuses %s and prints no token', async (_, args, env) => {
    await expect(token(args, env)).rejects.toMatchObject({ code: 1, stdout: '' });
  });

  it('names the identity provider when it gives the tokens', async () => {
    await expect(token(['a'], { JWT_SECRET: '', JWT_JWKS_URI: 'https://id.example/keys' })).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Tokens come from the identity provider of JWT_JWKS_URI; none can be signed here.\n',
    });
  });
});
