import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Limits the attempts that cost a job nothing, and stores the holds that tell operators why a worker does not call the model.
 *
 * The migration locks `jobs` for a moment, and rewrites nothing. Services of the previous version go on writing jobs without this column.
 */
export class Holds1795565920000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE jobs ADD COLUMN free_attempts smallint NOT NULL DEFAULT 0;
      CREATE TABLE model_holds (
        -- all, model:NAME or assistant:SLUG
        scope   text PRIMARY KEY,
        -- One of the codes of a job's error.
        code    text NOT NULL,
        message text NOT NULL,
        since   timestamptz(3) NOT NULL DEFAULT now(),
        -- When the model is tried next.
        until   timestamptz(3) NOT NULL
      );
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
