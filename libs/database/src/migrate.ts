import 'reflect-metadata';
import { migrateQueue } from '#queue/migrate.js';
import { inspectable } from '#process/described-error.js';
import { leaveOnSignal } from '#process/leave-on-signal.js';
import { StartFault } from '#process/start-fault.js';
import { loadEnvFile, readSettings } from '#settings/settings.js';
import { connect, dataSourceOptions } from './data-source.js';

/** Any number; the same in every process, so that two migrations at once run one after the other. */
const MIGRATION_LOCK = 7_265_106_111;

/** Brings Rejoinder's own tables and BullMQ's up to date. Safe to run at any time, also many at once. */
async function migrate(): Promise<void> {
  const settings = readSettings('migrate');
  const source = await connect({
    ...dataSourceOptions({ url: settings.database.url, poolSize: 2, applicationName: 'rejoinder-migrate' }),
    // A migration may take as long as it takes.
    extra: {},
  });
  const lock = source.createQueryRunner();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const applied = await source.runMigrations({ transaction: 'each' });
    for (const migration of applied) console.log(`applied ${migration.name}`);
    if (settings.redisUrl === undefined) await migrateQueue(settings.database.url);
    console.log('The database is up to date.');
  } finally {
    await lock.release();
    await source.destroy();
  }
}

loadEnvFile();
// Each migration is a transaction: one that is broken off has not happened.
leaveOnSignal();
migrate().catch((error: unknown) => {
  console.error(error instanceof StartFault ? error.message : inspectable(error));
  process.exitCode = 1;
});
