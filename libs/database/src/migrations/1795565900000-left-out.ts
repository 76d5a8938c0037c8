import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Refused turns that later prompts leave out, the reason of a refusal, and tokens that are estimates.
 *
 * The migration locks `messages` for a moment, and rewrites nothing, because PostgreSQL keeps the defaults in its catalogue. Services of
 * the previous version go on writing messages without these columns. Each table has a migration of its own, so that none holds a lock while
 * it waits for another.
 */
export class LeftOut1795565900000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE messages
        -- The job whose turn the model does not take.
        ADD COLUMN left_out_by uuid,
        ADD COLUMN stop_details jsonb,
        ADD COLUMN usage_estimated boolean NOT NULL DEFAULT false;
    `);
  }

  /** Migrations only go forward. Restore a backup to go back. */
  async down(): Promise<void> {
    throw new Error('Migrations are forward only.');
  }
}
