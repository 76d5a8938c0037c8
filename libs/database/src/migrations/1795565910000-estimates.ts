import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Marks the ledger's entries whose tokens are estimates, because the model never reported a final count.
 *
 * The migration locks `model_calls` for a moment, and rewrites nothing. Services of the previous version go on writing entries without this
 * column.
 */
export class Estimates1795565910000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE model_calls ADD COLUMN estimated boolean NOT NULL DEFAULT false;
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
