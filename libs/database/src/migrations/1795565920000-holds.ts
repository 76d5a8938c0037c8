import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Attempts that cost a job nothing are bounded, and what keeps workers from calling the model is written down for operators.
 *
 * Locks `jobs` for a moment, and rewrites nothing. Services of the version before go on writing jobs without this column.
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

  /** Migrations only go forward: a restore brings back what was. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
