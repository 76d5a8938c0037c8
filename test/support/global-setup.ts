import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../tools/embedded-postgres.js';
import { findChromium } from './browser.js';
import { keepContract } from './contract-file.js';
import { has } from './machine.js';
import { makeRunData } from './server-data.js';
import { TEMPLATE } from './template.js';

/** One PostgreSQL for the whole run, with a migrated database to copy. */
export default async function setUp(): Promise<void> {
  if (findChromium() === undefined) {
    console.log('\nNo Chromium on this machine: the tests in a browser are skipped (CHROMIUM_PATH says where one is).');
  }
  if (!has('curl') || !has('bash')) {
    console.log('\nNo curl or no bash on this machine: the tour is not pasted into a shell.');
  }
  if (!has('pgbouncer')) console.log('\nNo PgBouncer on this machine: the tests behind a pooler are skipped.');
  const dataDir = await makeRunData();
  keepContract(join(dataDir, 'contract.json'));
  const postgres = await startEmbeddedPostgres({ dataDir, persistent: false, fast: true });
  const admin = new pg.Client(postgres.url('postgres'));
  await admin.connect();
  await admin.query(`CREATE DATABASE ${TEMPLATE}`);
  await admin.end();
  await promisify(execFile)(process.execPath, ['dist/bin/migrate.js'], {
    env: { PATH: process.env['PATH'], NODE_ENV: 'test', DATABASE_URL: postgres.url(TEMPLATE) },
  });
  process.env['TEST_POSTGRES_URL'] = postgres.url('postgres');
  (globalThis as { postgres?: EmbeddedPostgres }).postgres = postgres;
}
