import type { ChildProcess } from 'node:child_process';
import pg from 'pg';
import { Client } from './client.js';
import { onQueue } from './queue.js';
import { type Stack, startStack, tokenFor } from './stack.js';

/* This module is imported outside of Jest's test files, so its stacks live as long as the process that runs them one after the other. */

/** A file's last turns have this long to end once they are canceled, in milliseconds. */
const END_MS = 5_000;

/** Their rows are a stack's own. A file that changes them does not leave the stack as it was. */
const KEPT = ['assistants', 'assistant_versions', 'deployment', 'dispatch', 'migrations'];

interface Lent {
  readonly stack: Stack;
  /** The rows of `KEPT` at the stack's start. */
  readonly kept: string;
  /** Its processes at its start. */
  readonly processes: readonly ChildProcess[];
}

/** Those that nobody uses, by whether they have a worker. */
const free = { worker: [] as Lent[], none: [] as Lent[] };
const lent = new Map<Stack, Lent>();

/** A stack without data, which an earlier file may have used. */
export async function take(kind: keyof typeof free): Promise<Stack> {
  const one = free[kind].pop() ?? (await startOne(kind === 'worker' ? 1 : 0));
  lent.set(one.stack, one);
  return one.stack;
}

/** Ends the turns of the file that used the stack and removes its data. A stack that is not as it was is stopped instead. */
export async function giveBack(stack: Stack): Promise<void> {
  const one = lent.get(stack);
  lent.delete(stack);
  const isClean = one !== undefined && (await cleaned(one).catch(() => false));
  if (isClean) free[stack.workers.length > 0 ? 'worker' : 'none'].push(one);
  else await stack.stop();
}

async function startOne(workers: number): Promise<Lent> {
  const stack = await startStack({ workers });
  const processes = processesOf(stack);
  for (const child of processes) {
    child.unref();
    for (const output of [child.stdout, child.stderr]) (output as { unref?(): void } | null)?.unref?.();
    process.once('exit', () => child.kill('SIGKILL'));
  }
  return { stack, kept: await onDatabase(stack, keptRows), processes };
}

const processesOf = ({ api, workers, model, redis }: Stack): ChildProcess[] =>
  [api, ...workers, model.app, redis].filter((one) => one !== undefined).map(({ process: child }) => child);

async function cleaned({ stack, kept, processes }: Lent): Promise<boolean> {
  // A Redis that was killed and started again is another process.
  const now = processesOf(stack);
  if (now.some((child, n) => child !== processes[n] || child.exitCode !== null || child.signalCode !== null))
    return false;
  await stack.model.reset();
  return onDatabase(stack, async (database) => {
    if (!(await endTurns(stack, database)) || (await keptRows(database)) !== kept) return false;
    // No worker is there to take the tickets that are left.
    if (stack.workers.length === 0) await onQueue(stack, (queue) => queue.obliterate({ force: true }));
    const { rows: tables } = await database.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND NOT tablename = ANY($1)`,
      [KEPT],
    );
    await database.query(`TRUNCATE ${tables.map(({ name }) => name).join(', ')}`);
    return true;
  });
}

/** Cancels all turns. @returns whether they have ended in time, and none waits for the model to be well */
async function endTurns(stack: Stack, database: pg.Client): Promise<boolean> {
  const operator = new Client(stack.api.url, tokenFor('operator', { scope: 'admin' }));
  const deadline = Date.now() + END_MS;
  for (;;) {
    const { rows } = await database.query<{ id: string }>(`SELECT id FROM jobs WHERE finished_at IS NULL`);
    if (rows.length === 0) break;
    if (Date.now() > deadline) return false;
    for (const { id } of rows) await operator.patch(`/api/v1/admin/jobs/${id}`, { status: 'canceled' });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { rows: holds } = await database.query('SELECT FROM model_holds');
  return holds.length === 0;
}

async function keptRows(database: pg.Client): Promise<string> {
  const tables = await Promise.all(
    KEPT.map((table) => database.query(`SELECT to_jsonb(t) AS row FROM ${table} t ORDER BY 1`)),
  );
  return JSON.stringify(tables.map(({ rows }) => rows));
}

async function onDatabase<T>(stack: Stack, work: (database: pg.Client) => Promise<T>): Promise<T> {
  const database = new pg.Client(stack.databaseUrl);
  await database.connect();
  try {
    return await work(database);
  } finally {
    await database.end();
  }
}
