import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startOwnPostgres } from '../test/support/own-postgres.js';
import { waitingTurns } from '../test/support/waiting-turns.js';
import { chatsOf, fill, prepare } from './scale/data.js';
import { openSide, type Side } from './scale/side.js';
import {
  type BenchChat,
  chatsWorks,
  EXTEND,
  newChat,
  operatorWorks,
  queueWorks,
  standingWorks,
  turnWorks,
  type Work,
} from './scale/works.js';

/*
 * `npm run bench -- scale [--rows TURNS] [--plans]` compares the cost of the service's statements, in one run:
 *
 * - in a database of a million turns, and of three hundred;
 * - for a user with 10,000 chats, and with ten;
 * - with as many ended turns as come between two runs of VACUUM, or while a snapshot keeps VACUUM from cleaning, and without them;
 * - while 50,000 turns wait, and while 1,000 do.
 *
 * The first two are measured before and after ANALYZE. Until then PostgreSQL plans for the small tables that it knew. `--plans` prints the
 * plans in the large database.
 *
 * It starts all it needs. A million turns are two million messages, and a million jobs and entries of the ledger. Writing them takes about
 * a minute, and 2 GB of disk in the system's directory for temporary files; ten million take ten times as much. Ends with 1 when something
 * costs several times as much as in the small database. Costs before ANALYZE, and those while a snapshot is kept, are only shown.
 */

const SMALL = 300;
const MANY_CHATS = 10_000;
/** Each leaves two dead rows in `jobs`. VACUUM comes at 50,000. */
const WENT_BY = 25_000;
const FEW_WAIT = 1_000;
const MANY_WAIT = 50_000;
const ROUNDS = 40;

/** The largest ratio of medians that noise may cause on a shared machine; and what a plan for another size may add, in milliseconds. */
const LARGEST_RATIO = 2.5;
const LITTLE_MS = 1;

const DAY_MS = 24 * 60 * 60 * 1_000;
const TABLES = ['chats', 'messages', 'jobs', 'model_calls', 'idempotency_keys', 'callers', 'assistants'];

const {
  values: { rows, plans },
} = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, plans: { type: 'boolean', default: false } },
});
if (!/^\d{4,8}$/.test(rows)) {
  console.error('npm run bench -- scale [--rows TURNS, 1,000 at least] [--plans]');
  process.exit(2);
}
const turns = Number(rows);

/** A row of a table in Markdown. */
const say = (...cells: string[]): void => console.log(`| ${cells.join(' | ')} |`);

const title = (what: string, ...columns: string[]): void => {
  console.log(`\n${what}\n`);
  say('', ...columns);
  console.log(`|---|${columns.map(() => '--:|').join('')}`);
};

/**
 * Does the works of both sides alternately, many times, so that other load on the machine affects both alike. @returns the medians, in
 * milliseconds
 */
async function medians(sides: readonly (readonly Work[])[]): Promise<number[][]> {
  const took = sides.map((works) => works.map((): number[] => []));
  for (let round = 0; round < ROUNDS; round++) {
    for (const n of sides[0]?.keys() ?? []) {
      for (const [side, works] of sides.entries()) {
        const begun = performance.now();
        await works[n]?.[1]();
        took[side]?.[n]?.push(performance.now() - begun);
      }
    }
  }
  return took.map((works) => works.map((times) => times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0));
}

/** Prints a table of the works of a small and a large side. @returns all cost about the same on both */
async function compare(small: readonly Work[], large: readonly Work[]): Promise<boolean> {
  const [base = [], others = []] = await medians([small, large]);
  let fair = true;
  for (const [n, [name]] of small.entries()) {
    const ratio = (others[n] ?? 0) / (base[n] ?? 1);
    fair &&= ratio < LARGEST_RATIO || (others[n] ?? 0) < LITTLE_MS;
    say(name, `${base[n]?.toFixed(2)} ms`, `${others[n]?.toFixed(2)} ms`, ratio.toFixed(2));
  }
  return fair;
}

/**
 * Compares all works beside few rows and beside many, with PostgreSQL's present plans (`how`). Operators' lists choose from all rows, so
 * they are measured only once the planner knows the tables. @returns all cost about the same on both
 */
async function measure(how: string, small: Side, large: Side, operators: (side: Side) => Work[]): Promise<boolean> {
  const worksOf = async (side: Side): Promise<Work[]> => [
    ...turnWorks(side, await newChat(side)),
    ...standingWorks(side, 'few0'),
    ...operators(side),
  ];
  title(`${how}: a database of few turns, and of many`, `${SMALL} turns`, `${turns} turns`, 'ratio');
  const flat = await compare(await worksOf(small), await worksOf(large));
  title(`${how}: a user of few chats, and of many`, '10 chats', `${MANY_CHATS} chats`, 'ratio');
  return (await compare(await chatsWorks(large, 'ten', 10), await chatsWorks(large, 'many', MANY_CHATS))) && flat;
}

/** Ended jobs stay in the indexes of queued and running jobs until VACUUM (`how`), or for as long as a snapshot is kept. */
async function measureWear(how: string, small: Side, large: Side): Promise<boolean> {
  await waitingTurns(large.pool, WENT_BY, 'bench', how);
  await large.pool.query(
    `UPDATE jobs SET status = 'running', attempts = 1, started_at = now(), lease_until = now() WHERE status = 'queued'`,
  );
  await large.pool.query(
    `UPDATE jobs SET status = 'succeeded', lease_until = NULL, finished_at = now() WHERE status = 'running'`,
  );
  title(`Turns went by ${how}`, 'none', `${WENT_BY} turns`, 'ratio');
  const worksOf = async (side: Side): Promise<Work[]> => [
    ...turnWorks(side, await newChat(side)),
    ...standingWorks(side, 'few0'),
  ];
  const flat = await compare(await worksOf(small), await worksOf(large));
  // VACUUM leaves the rows that a snapshot still sees.
  await large.pool.query('VACUUM jobs');
  return flat;
}

/** Keeps a snapshot of the database during `work`, as a long report does. PostgreSQL cannot clean up rows that end meanwhile. */
async function underSnapshot<T>({ pool }: Side, work: () => Promise<T>): Promise<T> {
  const reader = new pg.Client(pool.options);
  await reader.connect();
  try {
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM assistants');
    return await work();
  } finally {
    await reader.end();
  }
}

/** Compares a long queue with a short one. There is no ANALYZE for either, because a real overload does not wait for one. */
async function measureQueue(small: Side, large: Side): Promise<boolean> {
  await waitingTurns(small.pool, FEW_WAIT, 'bench');
  await waitingTurns(large.pool, MANY_WAIT, 'bench');
  title('Turns wait, of which the planner does not know', `${FEW_WAIT} wait`, `${MANY_WAIT} wait`, 'ratio');
  return compare(await queueWorks(small, ROUNDS), await queueWorks(large, ROUNDS));
}

async function showPlans(side: Side, operators: (side: Side) => Work[]): Promise<void> {
  const works = [...turnWorks(side, await newChat(side)), ...standingWorks(side, 'few0'), ...operators(side)];
  for (const [name, run] of [...works, ...(await chatsWorks(side, 'many', MANY_CHATS))]) {
    console.log(`\n=== ${name}\n${(await side.plans(run)).join('\n')}`);
  }
}

/** Measures the writes of turns of 20 s (eight heartbeats), and the share of full pages in them. */
async function cost({ pool, ...side }: Side): Promise<void> {
  const { rows: chats } = await pool.query<BenchChat>(
    `SELECT id, user_id AS "userId" FROM chats c WHERE status = 'active' AND user_id LIKE 'u%' ORDER BY md5(id::text) LIMIT 1000`,
  );
  const read = async (): Promise<Record<string, number>> => {
    const { rows } = await pool.query<{ name: string; value: string }>(`
      SELECT 'bytes' AS name, wal_bytes AS value FROM pg_stat_wal UNION ALL SELECT 'pages', wal_fpi FROM pg_stat_wal
      UNION ALL SELECT 'records', wal_records FROM pg_stat_wal
      UNION ALL SELECT relname || ' updates', n_tup_upd FROM pg_stat_user_tables
      UNION ALL SELECT relname || ' heap-only', n_tup_hot_upd FROM pg_stat_user_tables`);
    return Object.fromEntries(rows.map(({ name, value }) => [name, Number(value)]));
  };
  const flush = (): Promise<unknown> => side.source.query('SELECT pg_stat_force_next_flush()');
  await pool.query('CHECKPOINT');
  await flush();
  const before = await read();
  for (const chat of chats) {
    const works = turnWorks({ pool, ...side }, chat).slice(0, 6);
    for (const [name, run] of works) for (let n = name === EXTEND ? 8 : 1; n > 0; n--) await run();
  }
  await flush();
  const after = await read();
  const each = (name: string): string => (((after[name] ?? 0) - (before[name] ?? 0)) / chats.length).toFixed(1);
  title('What a turn of 20 s writes', '', '', '');
  say(
    'log (WAL)',
    `${(Number(each('bytes')) / 1024).toFixed(1)} KiB`,
    `${each('records')} records`,
    `${each('pages')} pages`,
  );
  for (const table of ['chats', 'jobs', 'model_calls', 'callers']) {
    say(`updates of ${table}`, each(`${table} updates`), `${each(`${table} heap-only`)} heap-only`, '');
  }
}

async function run(): Promise<void> {
  const postgres = await startOwnPostgres({}, { durable: true });
  const sides: Side[] = [];
  try {
    const url = new URL(postgres.url);
    const open = async (name: string, database: string): Promise<Side> => {
      url.pathname = database;
      const side = await openSide(name, url.href);
      sides.push(side);
      return side;
    };
    const now = Date.now();
    const first = new pg.Pool({ connectionString: postgres.url, max: 1 });
    await prepare(first);
    await fill(first, {
      name: 'few',
      turns: SMALL,
      from: new Date(now - 92 * DAY_MS),
      to: new Date(now - 91 * DAY_MS),
    });
    // ANALYZE must run only when this bench says so.
    for (const table of TABLES) await first.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
    await first.query('VACUUM ANALYZE');
    const { rows } = await first.query(`SELECT id FROM chats WHERE user_id = 'few0' LIMIT 1`);
    const chat = rows[0].id as string;
    await first.end();
    url.pathname = 'postgres';
    const server = new pg.Client(url.href);
    await server.connect();
    await server.query('CREATE DATABASE large TEMPLATE rejoinder');
    await server.end();

    const small = await open('small', 'rejoinder');
    const large = await open('large', 'large');
    const begun = performance.now();
    const stretch = { name: 'u', turns, from: new Date(now - 90 * DAY_MS), to: new Date(now - 60 * 60 * 1_000) };
    await fill(large.pool, stretch, (done) => {
      if (process.stdout.isTTY) process.stdout.write(`\r${done} turns written`);
    });
    await chatsOf(large.pool, 'ten', 10);
    await chatsOf(large.pool, 'many', MANY_CHATS);
    const size = await large.pool.query(`SELECT pg_database_size('large') AS bytes`);
    const gigabytes = (Number(size.rows[0].bytes) / 1e9).toFixed(1);
    console.log(`\r${turns} turns written in ${((performance.now() - begun) / 1000).toFixed(0)} s, ${gigabytes} GB`);

    const day = new Date(now - 91.5 * DAY_MS).toISOString().slice(0, 10);
    const operators = (side: Side): Work[] => operatorWorks(side, 'few0', chat, day);
    await measure('Planned by what was known of small tables', small, large, () => []);
    await large.pool.query('VACUUM ANALYZE');
    const seeing = await measure('Planned by what the tables are', small, large, operators);
    if (plans) await showPlans(large, operators);
    await cost(large);
    const worn = await measureWear('since the last VACUUM', small, large);
    await underSnapshot(large, () => measureWear('while a snapshot is kept', small, large));
    await large.pool.query('VACUUM jobs');
    const waiting = await measureQueue(small, large);
    if (!seeing || !worn || !waiting) {
      console.log('Some of it costs more in the large database.');
      process.exitCode = 1;
    }
  } finally {
    for (const side of sides) await side.close();
    await postgres.stop();
  }
}

await run();
