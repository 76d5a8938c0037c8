import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

/*
 * Runs PostgreSQL as long as standard input is open. The parent holds the other end. When the parent dies, even by SIGKILL, the pipe
 * closes, and this process stops the server (SIGINT: fast shutdown). It then removes the directories that are listed in `removed`.
 */
const [identity = '{}', removed = '[]', postgres = '', ...args] = process.argv.slice(2);
const server = spawn(postgres, args, {
  stdio: ['ignore', 'inherit', 'inherit'],
  ...(JSON.parse(identity) as { uid?: number; gid?: number }),
});
console.log(`pid ${server.pid}`);

server.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
server.on('exit', (code) => {
  // Other servers may have data below, and end at the same moment.
  const how = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 };
  for (const path of JSON.parse(removed) as string[]) rmSync(path, how);
  process.exit(code ?? 1);
});

process.stdin.on('end', () => server.kill('SIGINT'));
process.stdin.resume();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => server.kill('SIGINT'));
