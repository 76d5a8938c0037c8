import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolConfig } from 'pg';
import { MigrationExecutor } from 'typeorm';
import { migrateQueue } from '#queue/migrate-queue.js';
import { inspectable } from '#process/described-error.js';
import { leaveOnSignal } from '#process/leave-on-signal.js';
import { StartFault } from '#errors/start-fault.js';
import { loadEnvFile, readSettings } from '#settings/settings.js';
import { connectChecked, dataSourceOptions } from '#database/data-source.js';
import type { SessionOptions } from '#database/session-client.js';

/** The advisory lock's number, the same in all processes, so that simultaneous migrations run one after the other. */
const MIGRATION_LOCK = 7_265_106_111;

/**
 * How long a migration waits for a lock, in milliseconds. All other statements on the table queue up behind a waiting migration. If it
 * waited for a long report or a backup, the whole service would wait. So the migration gives up before the other statements do, and tries
 * again.
 */
const LOCK_WAIT_MS = 1_000;
const LOCK_AGAIN_MS = 2_000;
const LONGEST_TRYING_MS = 60_000;

/** How long a migration waits for another one, in milliseconds. */
const LONGEST_TURN_MS = 10 * 60_000;

const LOCK_NOT_AVAILABLE = '55P03';

/** Does `work` as soon as it gets its locks. `work` may run several times, so it must be repeatable. @throws StartFault after a minute */
async function withoutBlocking(work: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + LONGEST_TRYING_MS;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
      if (Date.now() > deadline) {
        throw new StartFault(
          'A migration cannot run: another session holds a lock on its table (see pg_locks). End that session, and try again.',
          { cause: error },
        );
      }
      console.log('A migration waits: another session holds a lock on its table. Trying again.');
      await sleep(LOCK_AGAIN_MS);
    }
  }
}

/** Brings Rejoinder's own tables and BullMQ's up to date. It may run at any time, also in several processes at once. */
async function migrate(): Promise<void> {
  const settings = readSettings('migrate');
  const { url } = settings.database;
  // A migration that holds its lock may take any time.
  const extra: SessionOptions<PoolConfig> = {
    connectionString: url,
    session: { lock_timeout: LOCK_WAIT_MS },
    keepAlive: true,
  };
  const source = await connectChecked({
    ...dataSourceOptions({ url, poolSize: 2, applicationName: 'rejoinder-migrate' }),
    extra,
  });
  const lock = source.createQueryRunner();
  const pending = new Set<string>();
  try {
    await lock.query(`SET lock_timeout = ${LONGEST_TURN_MS}`);
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await lock.query(`SET lock_timeout = ${LOCK_WAIT_MS}`);
    await withoutBlocking(async () => {
      for (const { name } of await new MigrationExecutor(source, lock).getPendingMigrations()) pending.add(name);
      await source.runMigrations({ transaction: 'each' });
    });
    for (const name of pending) console.log(`applied ${name}`);
    if (settings.redisUrl === undefined) {
      await withoutBlocking(() => migrateQueue(url, LOCK_WAIT_MS));
    }
    console.log('The database is up to date.');
  } finally {
    await lock.release();
    await source.destroy();
  }
}

loadEnvFile();
// Each migration is a transaction, so one that breaks off changes nothing.
leaveOnSignal();
migrate().catch((error: unknown) => {
  console.error(error instanceof StartFault ? error.message : inspectable(error));
  process.exitCode = 1;
});
