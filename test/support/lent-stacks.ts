import type { ChildProcess } from 'node:child_process';
import pg from 'pg';
import { Client } from './client.js';
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
}

const free: Lent[] = [];
const lent = new Map<Stack, Lent>();

/** A stack without data, which an earlier file may have used. */
export async function take(): Promise<Stack> {
  const one = free.pop() ?? (await startOne());
  lent.set(one.stack, one);
  return one.stack;
}

/** Ends the turns of the file that used the stack and removes its data. A stack that is not as it was is stopped instead. */
export async function giveBack(stack: Stack): Promise<void> {
  const one = lent.get(stack);
  lent.delete(stack);
  const isClean = await cleaned(stack, one?.kept).catch(() => false);
  if (one !== undefined && isClean) free.push(one);
  else await stack.stop();
}

async function startOne(): Promise<Lent> {
  const stack = await startStack();
  for (const { process: child } of processesOf(stack)) {
    child.unref();
    for (const output of [child.stdout, child.stderr]) (output as { unref?(): void } | null)?.unref?.();
    process.once('exit', () => child.kill('SIGKILL'));
  }
  return { stack, kept: await onDatabase(stack, keptRows) };
}

const processesOf = ({ api, workers, model, redis }: Stack): { readonly process: ChildProcess }[] =>
  [api, ...workers, model.app, redis].filter((one) => one !== undefined);

async function cleaned(stack: Stack, kept: string | undefined): Promise<boolean> {
  if (processesOf(stack).some(({ process: child }) => child.exitCode !== null || child.signalCode !== null))
    return false;
  await stack.model.reset();
  return onDatabase(stack, async (database) => {
    if (!(await endTurns(stack, database)) || (await keptRows(database)) !== kept) return false;
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
