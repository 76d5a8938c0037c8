import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { ROOT } from '#process/root.js';

const DIST = join(ROOT, 'dist');
const FOLLOW_PARENT = pathToFileURL(join(import.meta.dirname, 'follow-parent.js')).href;

/** How long a part may take to stop before it is killed, in milliseconds. A worker also has the time that its replies may go on. */
const GRACE_MS = 30_000;

/** The parts of a running service, each a process. */
export class Parts {
  private readonly children = new Map<string, ChildProcess>();
  private stopping = false;

  /** `onDeath` is called once, when a part ends that was not stopped. */
  constructor(private readonly onDeath: (name: string, how: string) => void) {}

  /** Starts the built program `entry` (below `dist`). Its output is printed with its name before each line. */
  start(name: string, entry: string, env: NodeJS.ProcessEnv, onLine?: (line: string) => void): void {
    const child = spawn(process.execPath, ['--import', FOLLOW_PARENT, join(DIST, entry)], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // In a group of its own, Ctrl-C reaches only this process, which stops the parts in order.
      detached: true,
    });
    this.children.set(name, child);
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', onLine ?? ((line) => console.log(`${name.padEnd(6)} │ ${line}`)));
    }
    child.once('error', (error) => this.died(name, error.message));
    child.once('exit', (code, signal) => this.died(name, signal ?? `exit code ${code}`));
  }

  /** Runs a program to its end. @throws Error with its output when it fails */
  async run(entry: string, env: NodeJS.ProcessEnv): Promise<void> {
    const child = spawn(process.execPath, [join(DIST, entry)], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)));
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(output.trim() || `${entry} ended with ${code}.`);
  }

  /** Stops the parts, the last started first, so that each still has those it needs while it finishes its work. */
  async stop(drainMs = 0): Promise<void> {
    this.stopping = true;
    for (const child of [...this.children.values()].reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      const hurry = setTimeout(() => child.kill('SIGKILL'), GRACE_MS + drainMs);
      child.kill('SIGTERM');
      await ended;
      clearTimeout(hurry);
    }
  }

  /** Kills the parts. The next start takes up what they were doing. */
  kill(): void {
    this.stopping = true;
    for (const child of this.children.values()) child.kill('SIGKILL');
  }

  private died(name: string, how: string): void {
    if (this.stopping) return;
    this.stopping = true;
    this.onDeath(name, how);
  }
}
