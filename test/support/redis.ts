import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { steadyPort } from './steady-port.js';

/** A Redis for one stack, from the machine's `redis-server`, in memory only. */
export interface RedisServer {
  readonly url: string;
  /** The process that runs now, or ran last. */
  readonly process: ChildProcess;
  /** Sends SIGKILL. Its data is lost. */
  kill(): Promise<void>;
  /** Starts it again, empty, on its port. Does nothing while it runs. */
  restart(): Promise<void>;
  /** Sends SIGSTOP: connections stay open, and nothing comes. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  stop(): Promise<void>;
}

/** Starts a Redis, on a given port if it comes back there. `more` are further options. */
export async function startRedis(port?: number, more: readonly string[] = []): Promise<RedisServer> {
  const at = port ?? (await steadyPort());
  let child = await launch(at, more);
  const runs = (): boolean => child.exitCode === null && child.signalCode === null;
  const kill = async (): Promise<void> => {
    if (!runs()) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return {
    url: `redis://127.0.0.1:${at}`,
    get process() {
      return child;
    },
    kill,
    restart: async () => {
      if (!runs()) child = await launch(at, more);
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: kill,
  };
}

async function launch(port: number, more: readonly string[]): Promise<ChildProcess> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', '/tmp'];
  const child = spawn('redis-server', [...args, '--maxmemory-policy', 'noeviction', ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (/ready to accept connections/i.test(line)) resolve();
    });
  });
  return child;
}
