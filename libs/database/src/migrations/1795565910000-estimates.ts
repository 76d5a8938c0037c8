import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tokens of calls that the model never counted to the end are estimated, and marked.
 *
 * Locks `model_calls` for a moment, and rewrites nothing. Services of the version before go on writing entries without this column.
 */
export class Estimates1795565910000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE model_calls ADD COLUMN estimated boolean NOT NULL DEFAULT false;
    `);
  }

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
