import type pg from 'pg';
import { until } from './until.js';

/** Rows that statements have read since PostgreSQL began to count, by table: from indexes and in sequential scans. */
export type RowsRead = Readonly<Record<string, number>>;

/**
 * Rows that the service reads while `work` runs: a measure of cost that a busy machine does not change. Sessions report their reads once a
 * second and when they end, so this ends all sessions.
 */
export async function rowsRead(
  database: pg.Pool,
  tables: readonly string[],
  work: () => Promise<unknown>,
): Promise<RowsRead> {
  const before = await settled(database, tables);
  await work();
  const after = await settled(database, tables);
  return Object.fromEntries(tables.map((table) => [table, (after[table] ?? 0) - (before[table] ?? 0)]));
}

async function settled(database: pg.Pool, tables: readonly string[]): Promise<RowsRead> {
  // PostgreSQL may not have counted the test's own reads and writes yet.
  await database.query('SELECT pg_stat_force_next_flush()');
  const { rows: theirs } = await database.query<{ pid: number }>(
    `SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rejoinder%'`,
  );
  const pids = theirs.map(({ pid }) => pid);
  await until(async () => {
    const { rows } = await database.query('SELECT FROM pg_stat_activity WHERE pid = ANY ($1)', [pids]);
    return rows.length === 0;
  }, 'the end of the sessions');
  const { rows } = await database.query<{ table: string; read: string }>(
    `SELECT relname AS table, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
            + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes i WHERE i.relid = t.relid) AS read
       FROM pg_stat_user_tables t WHERE relname = ANY ($1)`,
    [tables],
  );
  return Object.fromEntries(rows.map(({ table, read }) => [table, Number(read)]));
}
