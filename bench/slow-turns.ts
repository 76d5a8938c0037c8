import { setTimeout as sleep } from 'node:timers/promises';
import { HEARTBEAT_MS, LEASE_SECONDS } from '#jobs/timings.js';
import { type Figures, metricsOf } from '../test/support/figures.js';
import { residentBytes } from '../test/support/machine.js';
import type { Stack } from '../test/support/stack.js';
import { until } from '../test/support/until.js';
import { percentile } from './percentile.js';
import { type Store, STORE_NAMES, storesHere, withStack } from './with-stack.js';

/*
 * `npm run bench -- slow-turns [TURNS] [postgres|redis]`: one worker process with many slow turns at once: its memory, its processor time,
 * its transactions, and how late its heartbeats are. Each reply is streamed for 20 s in small pieces. It starts all it needs, on each store
 * in turn. Ends with 1 when a turn was lost, doubled or begun twice, or when a thousand turns take more memory than is promised.
 */

/** The promise: this many slow turns, within this many megabytes (10⁶ bytes) of resident memory. */
const PROMISED_TURNS = 1_000;
const PROMISED_MB = 500;

/** The reply: a hundred small pieces, one every 200 ms. */
const PIECES = 100;
const PIECE_EVERY_MS = 200;
const PIECE = 'a few words, ';
const REPLY = PIECE.repeat(PIECES);

/** How many turns are sent at the same time, and how often the jobs are looked at, in milliseconds. */
const AT_ONCE = 20;
const LOOK_EVERY_MS = 250;

/**
 * In milliseconds. PostgreSQL may take this long to count an idle session's transactions. So the count begins this long after all turns
 * run.
 */
const COUNTED_MS = 10_500;

/** How long all turns may take, in milliseconds: their own time, and more than one attempt too many would add. */
const LONGEST_MS = 180_000;

const [asked = String(PROMISED_TURNS), only] = process.argv.slice(2);
const turns = Number(asked);
if (!/^[1-9]\d{0,3}$/.test(asked) || ![undefined, 'postgres', 'redis'].includes(only)) {
  console.error('npm run bench -- slow-turns [TURNS, 9999 at most] [postgres|redis]');
  process.exit(2);
}

const say = (what: string, figures: string): void => console.log(`${what.padEnd(34)}${figures}`);

/** One look at the jobs, with times of the database's clock. */
interface Reading {
  readonly running: number;
  readonly ended: number;
  /** Seconds until the first lease ends. */
  readonly shortest: number | null;
  /** Transactions of this database that are counted so far. */
  readonly transactions: number;
}

async function read(stack: Stack): Promise<Reading> {
  const { rows } = await stack.database.query<Reading>(
    `SELECT count(*) FILTER (WHERE status = 'running')::int AS running,
            count(*) FILTER (WHERE status IN ('succeeded', 'failed', 'canceled'))::int AS ended,
            min(extract(epoch FROM lease_until - clock_timestamp())) FILTER (WHERE status = 'running')::float8 AS shortest,
            (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database())::int AS transactions
       FROM jobs`,
  );
  if (rows[0] === undefined) throw new Error('A count gave no row.');
  return rows[0];
}

/** Sends each turn as a user of its own, in a chat of its own. */
async function askAll(stack: Stack): Promise<void> {
  let begun = 0;
  const some = async (): Promise<void> => {
    while (begun < turns) {
      const client = stack.as(`user-${begun++}`);
      await client.turnAsync((await client.chat()).id, 'speak slowly');
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

/** The faults of the turns, in words. Each turn must have one attempt, one call and its whole reply. */
async function faultsOf(stack: Stack): Promise<string[]> {
  const { rows } = await stack.database.query<{ status: string; attempts: number; calls: string; whole: boolean }>(
    `SELECT status, attempts, whole,
            (SELECT string_agg(attempt || ' ' || outcome, ', ' ORDER BY attempt) FROM model_calls WHERE job_id = jobs.id) AS calls
       FROM jobs, LATERAL (SELECT count(*) = 1 AND bool_and(content = $1) AS whole FROM messages WHERE job_id = jobs.id AND role = 'assistant') AS reply`,
    [REPLY],
  );
  const faults = rows
    .filter((row) => row.status !== 'succeeded' || row.attempts !== 1 || row.calls !== '1 completed' || !row.whole)
    .map((row) => `a job ${row.status} after ${row.attempts} attempts, calls: ${row.calls}, reply whole: ${row.whole}`);
  if (rows.length !== turns) faults.push(`${rows.length} jobs instead of ${turns}`);
  const calls = (await stack.model.allCalls()).length;
  if (calls !== turns) faults.push(`the model was called ${calls} times`);
  return faults;
}

const valueOf = (figures: Figures, name: string): number => figures.get(name) ?? NaN;

async function measure(stack: Stack): Promise<boolean> {
  await stack.model.script('speak slowly', { pieces: [PIECE], repeat: PIECES, piece_delay_ms: PIECE_EVERY_MS });
  await askAll(stack);
  const worker = await stack.startWorker({ WORKER_CONCURRENCY: String(turns) });
  const pid = worker.process.pid ?? 0;
  let [highest, most] = [residentBytes(pid), 0];
  say('worker before', `${(highest / 1e6).toFixed(0)} MB`);
  const watch = setInterval(() => (highest = Math.max(highest, residentBytes(pid))), LOOK_EVERY_MS);
  const begun = performance.now();

  // How late the latest heartbeat was at each look. A lease that is extended in time always has at least `due` seconds left.
  const due = LEASE_SECONDS - HEARTBEAT_MS / 1_000;
  const late: number[] = [];
  let full = Infinity;
  let from: { at: number; transactions: number; measured: number; cpu: number } | undefined;
  let calm = '';
  const readOnce = async (): Promise<boolean> => {
    const { running, ended, shortest, transactions } = await read(stack);
    most = Math.max(most, running);
    if (shortest !== null) late.push(Math.max(0, due - shortest) * 1_000);
    const now = performance.now();
    if (running === turns && full === Infinity) {
      full = now;
      say(`all ${turns} run, after`, `${((now - begun) / 1_000).toFixed(1)} s`);
    }
    if (from === undefined && now > full + COUNTED_MS) {
      const cpu = valueOf(await metricsOf(worker.url), 'process_cpu_seconds_total');
      from = { at: performance.now(), transactions, measured: late.length, cpu };
    } else if (from !== undefined && calm === '' && (ended > 0 || now > full + 2 * COUNTED_MS)) {
      const figures = await metricsOf(worker.url);
      const seconds = (performance.now() - from.at) / 1_000;
      const share = (valueOf(figures, 'process_cpu_seconds_total') - from.cpu) / seconds;
      const own = late.length - from.measured;
      const lag = (name: string): string =>
        `${name} ${(valueOf(figures, `nodejs_eventloop_lag_${name}_seconds`) * 1_000).toFixed(0)} ms`;
      calm = [
        `${((transactions - from.transactions - own) / seconds).toFixed(0)} transactions a second`,
        `${(share * 100).toFixed(0)} % of a core`,
        `event loop late by ${['p50', 'p99', 'max'].map(lag).join(', ')}`,
      ].join('; ');
      say(`while all run, for ${seconds.toFixed(0)} s`, calm);
    }
    await sleep(LOOK_EVERY_MS);
    return ended === turns;
  };
  try {
    await until(readOnce, 'the turns to end', LONGEST_MS);
  } finally {
    clearInterval(watch);
  }
  say('all ended, after', `${((performance.now() - begun) / 1_000).toFixed(1)} s; ${most} ran at once at most`);
  const inMs = (share: number): string => `${percentile(late, share).toFixed(0)} ms`;
  say('the latest heartbeat was late by', `p50 ${inMs(0.5)}, p99 ${inMs(0.99)}, at most ${inMs(1)}, of ${due} s left`);
  say('worker at the highest', `${(highest / 1e6).toFixed(0)} MB`);
  const faults = await faultsOf(stack);
  const tooMuch = turns <= PROMISED_TURNS && highest > PROMISED_MB * 1e6;
  if (tooMuch) faults.push(`more than the ${PROMISED_MB} MB that are promised`);
  say(
    'turns',
    faults.length === 0 ? `${turns}, each with one attempt, one call and its whole reply` : 'NOT AS PROMISED',
  );
  for (const fault of faults.slice(0, 5)) console.log(fault);
  return faults.length === 0;
}

for (const store of only === undefined ? storesHere() : [only as Store]) {
  console.log(`\n${turns} slow turns in one worker, the queue on ${STORE_NAMES[store]}`);
  if (!(await withStack(store, { ownPostgres: 'durable', workers: 0 }, measure))) process.exitCode = 1;
}
