import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A started app of ours. */
export interface App {
  readonly url: string;
  readonly process: ChildProcess;
  /** Everything it has printed so far. */
  output(): string;
  /** Sends SIGTERM, and SIGKILL if it has not ended after `ms` (20 s). @returns the exit code */
  stop(ms?: number): Promise<number | null>;
  /** Sends SIGKILL. Resolves once the process is gone. */
  kill(): Promise<void>;
  /** Sends SIGSTOP: the process lives and does nothing. */
  freeze(): void;
  /** Sends SIGCONT. */
  thaw(): void;
}

/** The names of the apps. */
export type AppName = keyof typeof APPS;

const APPS = {
  api: 'dist/bin/api.js',
  worker: 'dist/bin/worker.js',
  'model-stub': 'dist/apps/model-stub/src/main.js',
} as const;

const READY_TIMEOUT_MS = 60_000;

/**
 * Starts a built app, as production does, on any free port, and waits until it says where it listens. The app gets only PATH of this
 * process's environment. `home` is the directory of its build, if not this project.
 */
export function startProcess(
  app: AppName,
  env: Record<string, string>,
  home?: string,
  flags?: readonly string[],
): Promise<App> {
  return startProgram(APPS[app], env, home, flags);
}

/** The same for any program that says where it listens. `flags` are for Node. */
export async function startProgram(
  program: string,
  env: Record<string, string>,
  home = '.',
  flags: readonly string[] = [],
): Promise<App> {
  const child = spawn(process.execPath, [...flags, program], {
    cwd: home,
    env: { PATH: process.env['PATH'] ?? '', NODE_ENV: 'test', LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => fail('was not ready in time'), READY_TIMEOUT_MS);
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`${program} ${why}:\n${printed}`));
    };
    let found = false;
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      // Once the address is found, later output is not searched.
      if (found) return;
      const address = /(?:listening on |"listening":")(http:\/\/[^\s"]+)/.exec(printed)?.[1];
      if (address === undefined) return;
      found = true;
      clearTimeout(timer);
      resolve(address);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) => fail(`ended with ${code}`));
  });
  // If an app ends by itself, a test fails, and the test's own message does not say why.
  child.once('exit', (code) => {
    if (code) console.error(`${program} ended with ${code}:\n${printed.slice(-4_000)}`);
  });
  const runs = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    url,
    process: child,
    output: () => printed,
    stop: async (ms = 20_000) => {
      if (!runs()) return child.exitCode;
      const ended = once(child, 'exit');
      const hurry = setTimeout(() => child.kill('SIGKILL'), ms);
      child.kill('SIGTERM');
      await ended;
      clearTimeout(hurry);
      return child.exitCode;
    },
    kill: async () => {
      if (!runs()) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
  };
}

/** Runs one of the built programs until it ends by itself, for at most half a minute. */
export function runProgram(
  name: 'api' | 'worker' | 'migrate',
  env: Record<string, string>,
): Promise<{ readonly code: number | null; readonly printed: string }> {
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env['PATH'], NODE_ENV: 'test', ...env }, timeout: 30_000 };
    const child = execFile(process.execPath, [`dist/bin/${name}.js`], options, (_, stdout, stderr) => {
      resolve({ code: child.exitCode, printed: stdout + stderr });
    });
  });
}
