import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import pg from 'pg';
import { freshDatabase } from '../support/database.js';
import { until } from '../support/until.js';

/** The longest time that a statement of the service waits for a lock, in milliseconds. */
const LOCK_WAIT_MS = 2_000;

it('a migration that waits for a long report makes no request wait, and runs once the report has ended', async () => {
  const copy = await freshDatabase();
  const database = new pg.Pool({ connectionString: copy.url, max: 3 });
  // The schema before this migration.
  await database.query(`ALTER TABLE jobs DROP COLUMN traceparent`);
  await database.query(`DELETE FROM migrations WHERE name = 'Traces1795565200000'`);
  const report = await database.connect();
  // Its connection may still be closing when the database is dropped.
  report.on('error', () => undefined);
  try {
    await report.query('BEGIN');
    await report.query('SELECT count(*) FROM jobs');
    const migration = promisify(execFile)(process.execPath, ['dist/bin/migrate.js'], {
      env: { PATH: process.env['PATH'], NODE_ENV: 'test', DATABASE_URL: copy.url },
    });
    await until(async () => {
      const { rows } = await database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rejoinder-migrate' AND wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    }, 'the migration in line');
    const service = await database.connect();
    await service.query(`SET lock_timeout = ${LOCK_WAIT_MS}`);
    await service.query('SELECT FROM jobs LIMIT 1').finally(() => service.release());
    await report.query('ROLLBACK');
    const { stdout } = await migration;
    expect(stdout).toContain('A migration waits');
    expect(stdout).toContain('applied Traces1795565200000');
    await database.query('SELECT traceparent FROM jobs');
  } finally {
    report.release(true);
    await database.end();
    await copy.drop();
  }
});
