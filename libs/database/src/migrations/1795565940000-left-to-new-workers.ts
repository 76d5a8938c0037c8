import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Jobs that a stopping worker hands back are left to new workers at first.
 *
 * The migration locks `jobs` for a moment, and rewrites nothing. Workers of the previous version neither set the column nor read it.
 */
export class LeftToNewWorkers1795565940000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE jobs ADD COLUMN left_to_workers_since timestamptz(3)');
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
