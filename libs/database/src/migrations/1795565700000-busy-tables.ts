import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * VACUUM of the tables to which each turn writes several times: it comes after a fixed number of turns, however large the tables are.
 *
 * An index of queued or running jobs keeps entries of jobs that have ended until VACUUM, and a statement that looks for the first job
 * passes over them all. PostgreSQL's default is a fifth of the table: with ten million turns VACUUM would wait for two million dead rows,
 * and accepting or claiming would take tens of milliseconds. By default, VACUUM also skips the indexes when few pages of a large table have
 * changed.
 *
 * The migration locks neither reads nor writes.
 */
export class BusyTables1795565700000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const table of ['jobs', 'model_calls']) {
      await runner.query(`
        ALTER TABLE ${table}
          SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000, vacuum_index_cleanup = on)`);
    }
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
