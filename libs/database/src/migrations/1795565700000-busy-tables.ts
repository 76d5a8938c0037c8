import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tables that each turn writes to several times are cleaned by how many turns went by, not by how large they are.
 *
 * An index of what waits, or runs, keeps its entries of jobs that do so no longer until VACUUM, and who looks for the first one passes
 * over all of them. By PostgreSQL's own measure, a fifth of the table, that is a million turns of ten million: tens of milliseconds to
 * accept or claim one. And where few pages of a large table changed it leaves its indexes as they are, unless it is told.
 *
 * Locks neither reads nor writes.
 */
export class BusyTables1795565700000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const table of ['jobs', 'model_calls']) {
      await runner.query(`
        ALTER TABLE ${table}
          SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000, vacuum_index_cleanup = on)`);
    }
  }

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
