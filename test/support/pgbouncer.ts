import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../tools/free-port.js';
import { unprivilegedAccount } from '../../tools/postgres-place.js';
import { until } from './until.js';

/** A PgBouncer, the real one, as docs/operations/containers.md sets it up. */
export interface PgBouncer {
  /** The address of the database through PgBouncer. */
  readonly url: string;
  stop(): Promise<void>;
}

const PAGE = 'docs/operations/containers.md';

/**
 * Starts a PgBouncer in front of a database. `settings` replace values of the page, as do this machine's addresses, ports and files.
 */
export async function startPgBouncer(databaseUrl: string, settings: Record<string, string> = {}): Promise<PgBouncer> {
  const database = new URL(databaseUrl);
  const directory = mkdtempSync(join(tmpdir(), 'rejoinder-pgbouncer-'));
  chmodSync(directory, 0o755);
  const port = await freePort();
  const users = join(directory, 'userlist.txt');
  writeFileSync(users, `"${database.username}" "${decodeURIComponent(database.password)}"\n`);
  const name = database.pathname.slice(1);
  const lines = {
    rejoinder: `host=${database.hostname} port=${database.port} dbname=${name}`,
    listen_addr: '127.0.0.1',
    listen_port: String(port),
    auth_file: users,
    unix_socket_dir: '',
    ...settings,
  };
  const file = join(directory, 'pgbouncer.ini');
  writeFileSync(file, withLines(pageConfiguration(), lines));
  const account = unprivilegedAccount();
  const child = spawn('pgbouncer', [file], {
    ...(account !== undefined && { uid: account.uid, gid: account.gid }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += String(chunk)));
  const ended = once(child, 'exit');
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended with ${child.exitCode}:\n${printed}`);
    return listens(port);
  }, 'PgBouncer');
  database.port = String(port);
  database.pathname = 'rejoinder';
  return {
    url: database.href,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The configuration that the page shows, word for word. */
function pageConfiguration(): string {
  const ini = /```ini\n([\s\S]*?)```/.exec(readFileSync(PAGE, 'utf8'))?.[1];
  if (ini === undefined) throw new Error(`${PAGE} shows no configuration of PgBouncer.`);
  return ini;
}

/** The configuration with other values in its lines. A setting without a line is added. */
function withLines(ini: string, lines: Record<string, string>): string {
  let text = ini;
  for (const [name, value] of Object.entries(lines)) {
    const line = `${name} = ${value}`;
    const there = new RegExp(`^${name} *=.*$`, 'm');
    text = there.test(text) ? text.replace(there, line) : `${text}${line}\n`;
  }
  return text;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
