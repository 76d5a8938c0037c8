import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The model's answers as they are: refused turns that later prompts leave out, figures that are estimates, attempts that cost
 * nothing, and what keeps workers from calling the model.
 *
 * Every column has a default that PostgreSQL keeps in its catalogue, so no table is rewritten, and services of the version before go
 * on writing rows without them.
 */
export class Answers1795565900000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE messages
        ADD COLUMN in_context boolean NOT NULL DEFAULT true,
        ADD COLUMN stop_details jsonb,
        ADD COLUMN usage_estimated boolean NOT NULL DEFAULT false;
      ALTER TABLE model_calls ADD COLUMN estimated boolean NOT NULL DEFAULT false;
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
