import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What a stopping worker hands back is left to new workers at first.
 *
 * Locks `jobs` for a moment, and rewrites nothing. Workers of the version before neither set the column nor heed it.
 */
export class LeftToNewWorkers1795565940000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE jobs ADD COLUMN left_to_workers_since timestamptz(3)');
  }

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
